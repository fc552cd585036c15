"""The engine against the plain computation of the same recipe, bit for bit, with the embedded networks."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Box
from inference.imaging.reading import read_volume
from inference.imaging.volume import crop, to_canonical
from inference.predictor import Predictor
from inference.preprocessing.model_grid import input_scheme
from inference.preprocessing.model_image import CaseStatistics, ModelImage
from inference.restoration.interpolation import interpolate
from inference.restoration.winners import decide, rule_of
from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from inference.sliding_window.importance import importance_map
from inference.sliding_window.one_window import activate
from inference.sliding_window.placement import read_window
from inference.sliding_window.running_mean import RunningMean
from inference.threads import ONE_THREAD
from model.bundle import load_bundle
from model.manifest.fusion import MeanFusion
from model.manifest.window import FixedWindow
from tests.inference.fakes import SCORES, all_starts
from tests.places import ROOT, real_data

BUNDLE = ROOT / "bundles/default"


def plain(volume, bundle):
    """Scores of one member on the whole volume, every class interpolated to every voxel, then the winner."""
    (member,) = bundle.manifest.members
    scheme, rule = input_scheme(bundle.manifest, member), rule_of(bundle.manifest)
    image = ModelImage(volume, scheme, CaseStatistics(volume), ONE_THREAD)
    whole = image.slices(0, image.size_zyx[0])
    settings = Settings(input_shape=(1, 1, *member.window_zyx), threads=2)
    session = open_session(bundle.path_of(member), "openvino", settings)
    fused = RunningMean(len(bundle.manifest.output.channels), image.size_zyx)
    importance = importance_map(member.tiling.importance, member.window_zyx)
    for start in all_starts(image.size_zyx, member.window_zyx, member.tiling.overlap):
        scores = session.run(read_window(whole, start, member.window_zyx, member.tiling.padding)[None])[0]
        if rule.scores == "probabilities":
            activate(scores, rule.softmax, ONE_THREAD)
        fused.add(scores, importance, start, ONE_THREAD)
    return decide(interpolate(fused.mean, volume.geometry.size_zyx), rule)


@pytest.mark.skipif(not BUNDLE.exists(), reason="no embedded bundle")
@pytest.mark.parametrize(
    "scores", [SCORES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SCORES[1:])]
)
def test_slabs_and_boundaries_give_what_the_plain_computation_gives(scores, monkeypatch):
    embedded = load_bundle(BUNDLE)
    member = embedded.manifest.members[0]
    tiling = replace(member.tiling, skip_air=False)
    member = replace(member, tiling=tiling, window=FixedWindow(), window_zyx=(40, 64, 64))
    alone = {
        "members": (member,),
        "localization": None,
        "postprocessing": (),
        "fusion": MeanFusion(of=scores),
    }
    bundle = replace(embedded, manifest=replace(embedded.manifest, **alone))
    canonical, _ = to_canonical(read_volume(real_data("ct_abdomen/ct_0000.nii.gz")))
    volume = crop(canonical, Box(start_zyx=(0, 0, 2), stop_zyx=(20, 97, 122)))
    seen = []
    monkeypatch.setattr(
        "inference.label_map.split_with_runs",
        lambda channels, *args: (seen.append(channels.copy()) or channels, None),
    )
    predictor = Predictor(bundle, device="openvino", threads=2, precision="fp32")
    segmented = predictor.predict(volume)
    (channels,) = seen
    assert segmented.windows.run > 4
    assert len(np.unique(channels)) > 5
    np.testing.assert_array_equal(channels, plain(volume, bundle))
