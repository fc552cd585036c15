"""A network that takes any window sees the whole region at once, or as much of it as memory allows."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.planning.plan import Budget
from inference.predictor import Predictor
from inference.preprocessing.model_grid import input_scheme
from inference.preprocessing.model_image import CaseStatistics, ModelImage
from inference.restoration.winners import decide, rule_of
from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from inference.sliding_window.one_window import activate
from inference.sliding_window.placement import covered, read_window
from inference.threads import ONE_THREAD
from model.labels import FLARE23
from model.manifest.window import AnyWindow, FixedWindow, MemoryLine
from tests.inference.bundles import abdomen, hu, localization, make_bundle, member
from tests.inference.onnx_files import bands

SPACING = (2.5, 1.5, 1.0)
STEPS = (8, 8, 8)
LINE = MemoryLine(fixed_mb=20, mb_per_mvoxel=800)
ANY = AnyWindow(
    multiple_of_zyx=STEPS,
    smallest_zyx=(8, 16, 16),
    memory={"onnxruntime-fp32": LINE, "openvino-fp32": LINE},
)
RUNTIMES = ("onnxruntime", "openvino")
LABELS = abdomen((12, 40, 48))
WHOLE = (16, 40, 48)
"""12, 40 and 48 slices, padded to multiples of 8."""


def relative_bands(shape, thresholds):
    """Bands of the image less its mean over the whole window, so that every voxel counts for all."""
    model = bands(shape, thresholds)
    graph = model.graph
    for node in graph.node:
        node.input[0] = "less_mean"
    graph.node.insert(0, helper.make_node("GlobalAveragePool", ["image"], ["mean"]))
    graph.node.insert(1, helper.make_node("Sub", ["image", "mean"], ["less_mean"]))
    onnx.checker.check_model(model)
    return model


def any_member(**changes):
    return member(**({"window": ANY, "skip_air": False} | changes))


def bundle_of(folder, *members, **changes):
    """Bands lie closer than an image's range, so that means matter and all classes occur."""
    thresholds = np.array([0.0, 0.15, 0.3, 0.45], np.float32)
    return make_bundle(folder, list(members) or [any_member()], thresholds, relative_bands, **changes)


def volume_of(labels=LABELS):
    return Volume(array=hu(labels), geometry=Geometry(size_zyx=labels.shape, spacing_zyx_mm=SPACING))


def channels_found(predictor, volume, monkeypatch):
    """Decisions before left and right are told apart, and the case's result."""
    seen = []
    monkeypatch.setattr(
        "inference.label_map.split_with_runs",
        lambda channels, *args: (seen.append(channels.copy()) or channels, None),
    )
    segmented = predictor.predict(volume)
    return seen[0], segmented


def applied_directly(bundle, volume, runtime, window):
    """The network on the padded region, in one go; the winner at each voxel of the region."""
    (only,) = bundle.manifest.members
    image = ModelImage(volume, input_scheme(bundle.manifest, only), CaseStatistics(volume), ONE_THREAD)
    size = image.size_zyx
    start = tuple(-((side - n) // 2) for side, n in zip(window, size, strict=True))
    padded = read_window(image.slices(0, size[0]), start, window)
    session = open_session(bundle.path_of(only), runtime, Settings(input_shape=(1, 1, *window), threads=1))
    rule = rule_of(bundle.manifest)
    scores = activate(session.run(padded[None])[0], rule.softmax, ONE_THREAD)
    _, inside = covered(start, window, size)
    return decide(scores[:, *inside], rule)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_window_gives_what_the_network_gives_on_the_padded_region(runtime, tmp_path, monkeypatch):
    bundle, volume = bundle_of(tmp_path / "b"), volume_of()
    predictor = Predictor(bundle, device=runtime, threads=1)
    found, segmented = channels_found(predictor, volume, monkeypatch)
    assert segmented.plan.groups[0].window_zyx == WHOLE
    assert (segmented.windows.run, segmented.windows.skipped) == (1, 0)
    expected = applied_directly(bundle, volume, runtime, WHOLE)
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(found, expected)


def test_windows_are_the_same_beside_what_others_hold(tmp_path):
    bundle, volume = bundle_of(tmp_path / "b"), volume_of()
    whole = Predictor(bundle, device="onnxruntime", threads=1).predict(volume).plan.host_mb
    predictor = Predictor(bundle, device="onnxruntime", threads=1, budget=Budget(host_mb=whole + 10))
    runs = [predictor.predict(volume, reserved_mb=mb).windows.run for mb in (0.0, 10.0, 11.0)]
    assert runs == [1, 1, 1]


def test_what_it_says_depends_on_the_window(tmp_path, monkeypatch):
    """The same file in windows of its own size: another mean in each, and other labels."""
    whole, windows = (
        channels_found(
            Predictor(
                bundle_of(tmp_path / kind.kind, any_member(window=kind)), device="onnxruntime", threads=1
            ),
            volume_of(),
            monkeypatch,
        )
        for kind in (ANY, FixedWindow())
    )
    assert windows[1].windows.run > 10
    assert (whole[0] != windows[0]).any()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_windows_where_memory_is_tight(runtime, tmp_path):
    labels = abdomen((40, 96, 200))
    bundle = bundle_of(tmp_path / "b")
    whole = Predictor(bundle, device=runtime, threads=1).predict(volume_of(labels))
    tight = Budget(host_mb=whole.plan.host_mb - 1)
    two = Predictor(bundle, device=runtime, threads=1, budget=tight).predict(volume_of(labels))
    assert (whole.windows.run, two.windows.run) == (1, 2)
    assert two.plan.host_mb <= tight.host_mb
    # Half-overlapping: each at least two thirds of the region along the axis that is cut.
    assert two.plan.groups[0].window_zyx == (40, 64, 200)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_cases_of_other_sizes_one_after_another(runtime, tmp_path, monkeypatch):
    """A network is opened again for each size, and no case sees the one before it."""
    bundle = bundle_of(tmp_path / "b")
    predictor = Predictor(bundle, device=runtime, threads=1)
    for size, window in (((12, 40, 48), WHOLE), ((5, 17, 90), (8, 24, 96)), ((12, 40, 48), WHOLE)):
        volume = volume_of(abdomen(size))
        found, segmented = channels_found(predictor, volume, monkeypatch)
        assert segmented.plan.groups[0].window_zyx == window
        np.testing.assert_array_equal(found, applied_directly(bundle, volume, runtime, window))


def test_the_region_that_localization_finds_is_one_window(tmp_path):
    truth = np.pad(abdomen(), ((0, 0), (40, 60), (60, 20)))
    members = [any_member()]
    bundle = make_bundle(tmp_path / "b", members, localization=localization())
    segmented = Predictor(bundle, device="onnxruntime", threads=1).predict(volume_of(truth))
    np.testing.assert_array_equal(segmented.labels, truth)
    size, window = segmented.region.size_zyx, segmented.plan.groups[0].window_zyx
    assert all(n <= side < n + 8 for n, side in zip(size, window, strict=True))
    assert size < truth.shape


@pytest.mark.parametrize("fusion_of", ["probabilities", "logits"])
def test_an_ensemble_whose_members_take_any_window(fusion_of, tmp_path):
    """Bands of plain HU, which no window changes: mirrored, turned, in the same file and in others."""
    members = [
        any_member(),
        any_member(mirror_axes=("x",), weight=0.5),
        any_member(file="b.onnx", axes="LPS", overlap=0.0),
        member(file="c.onnx", spacing_zyx_mm=(3.0, 2.0, 2.0), weight=0.3),
    ]
    bundle = make_bundle(tmp_path / "b", members)
    fusion = replace(bundle.manifest.fusion, of=fusion_of)
    bundle = replace(bundle, manifest=replace(bundle.manifest, fusion=fusion))
    found = Predictor(bundle, device="onnxruntime", threads=1).predict(volume_of()).labels
    for name in ("liver", "aorta"):
        ours, truth = found == FLARE23.ids[name], FLARE23.ids[name] == LABELS
        assert 2 * (ours & truth).sum() > 0.9 * (ours.sum() + truth.sum()), name


def test_nothing_is_loaded_for_a_window_that_is_not_known_yet(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "inference.runtime.session_pool.open_session",
        lambda path, backend, settings, read: (
            opened.append(settings.input_shape) or open_session(path, backend, settings, read=read)
        ),
    )
    predictor = Predictor(bundle_of(tmp_path / "b"), device="onnxruntime", threads=1)
    assert opened == []
    predictor.predict(volume_of())
    predictor.predict(volume_of())
    assert opened == [(1, 1, *WHOLE)]
