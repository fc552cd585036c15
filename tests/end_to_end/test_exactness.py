"""The engine against the plain computation of the same recipe, bit for bit, on a real CT with the embedded networks in fp32."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Box
from inference.imaging.volume import crop, to_canonical
from inference.imaging.reading import read_volume
from inference.predictor import Predictor
from inference.preprocessing.model_image import ModelImage
from inference.restoration.boundaries import decide
from inference.restoration.interpolation import interpolate
from inference.runtime.session import Settings, open_session
from inference.sliding_window.one_window import activate
from inference.sliding_window.placement import RunningMean, importance_map, read_window
from inference.timing import Timings
from model.bundle import load_bundle
from tests.inference.fakes import all_starts
from tests.places import ROOT, real_data

BUNDLE = ROOT / "bundles/default"


def plain(volume, bundle):
    """Whole-volume probabilities of one member, all classes interpolated to every voxel, argmax: no slabs, nothing skipped."""
    (member,) = bundle.manifest.members
    image = ModelImage(volume, member)
    whole = image.slices(0, image.size_zyx[0])
    session = open_session(bundle.path_of(member), "openvino", Settings(threads=2))
    fused = RunningMean(len(bundle.manifest.output.channels), image.size_zyx)
    importance = importance_map(member.importance, member.window_zyx)
    for start in all_starts(image.size_zyx, member.window_zyx, member.overlap):
        logits = session.run(read_window(whole, start, member.window_zyx)[None, None])[0]
        fused.add(activate(logits, "softmax"), importance, start)
    return decide(interpolate(fused.mean, volume.geometry.size_zyx), "softmax")


@pytest.mark.skipif(not BUNDLE.exists(), reason="no embedded bundle")
def test_slabs_and_boundaries_give_what_the_plain_computation_gives(monkeypatch):
    embedded = load_bundle(BUNDLE)
    member = replace(embedded.manifest.members[0], skip_air=False)
    bundle = replace(
        embedded,
        manifest=replace(embedded.manifest, members=(member,), localization=None, postprocessing=None),
    )
    canonical, _ = to_canonical(read_volume(real_data("ct_abdomen/ct_0000.nii.gz")))
    volume = crop(canonical, Box(start_zyx=(0, 0, 2), stop_zyx=(20, 97, 122)))
    seen = []
    monkeypatch.setattr(
        "inference.predictor.split_pairs", lambda channels, *args: seen.append(channels.copy()) or channels
    )
    predictor = Predictor(bundle, device="openvino", threads=2, precision="fp32")
    predictor.predict(volume, Timings())
    (channels,) = seen
    assert predictor.record.windows.run > 4
    assert len(np.unique(channels)) > 5
    np.testing.assert_array_equal(channels, plain(volume, bundle))
