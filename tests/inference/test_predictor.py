"""From an image to labels on its own grid, end to end, with a network that tells structures by their HU."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from inference.errors import InputError
from inference.geometry import Box, Geometry
from inference.imaging.orientation import OF_RAS
from inference.imaging.volume import Volume
from inference.postprocessing import runs
from inference.predictor import Predictor
from inference.sliding_window.localization import organ_mask
from inference.timing import Timings
from model.labels import FLARE23
from model.manifest.clean_up import MinVoxels, MinWholeVolume
from model.manifest.document import Input, Preprocessing
from model.manifest.output import Output
from model.manifest.resampling import SeparateAxisResampling
from model.manifest.tiling import ConstantImportance
from tests.inference.bundles import INTENSITY, abdomen, hu, localization, make_bundle, member

SPACING = (2.5, 1.5, 1.0)
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def stored(array, axes, signs, spacing=SPACING):
    """A canonical array as a file might store it, and its grid; its axis i is the world's axis `axes[i]`."""
    turned = array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    direction = np.zeros((3, 3))
    for i, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        direction[2 - axis, 2 - i] = sign
    geometry = Geometry(
        size_zyx=turned.shape,
        spacing_zyx_mm=tuple(spacing[axis] for axis in axes),
        origin_xyz_mm=(-20.0, 30.0, 100.0),
        direction=tuple(direction.ravel()),
    )
    return turned, geometry


def volume_of(labels, spacing=SPACING):
    return Volume(array=hu(labels), geometry=Geometry(size_zyx=labels.shape, spacing_zyx_mm=spacing))


def dice(a, b, label):
    return (
        2
        * np.count_nonzero((a == label) & (b == label))
        / (np.count_nonzero(a == label) + np.count_nonzero(b == label))
    )


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    built = Predictor(make_bundle(tmp_path_factory.mktemp("bundle") / "plain"), device="cpu", threads=1)
    yield built
    built.close()


def test_there_are_48_orientations():
    assert len(ORIENTATIONS) == 48


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_right_labels_in_every_orientation(predictor, axes, signs):
    truth, geometry = stored(abdomen(), axes, signs)
    found = predictor.predict(Volume(array=hu(truth), geometry=geometry)).labels
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, truth)


def test_ras_is_an_image_as_a_file_in_ras_has_it(tmp_path):
    """Of two voxels as near the nearest is the one before, so that the way an axis runs can be seen."""
    nearest = SeparateAxisResampling(in_plane="nearest", along="nearest", above_ratio=0.0)
    ids = [FLARE23.ids[name] for name in ("liver", "aorta", "tumor")]
    tissue = np.random.default_rng(0).choice([0, *ids], (6, 12, 16)).astype(np.uint8)
    # Array axes z, y, x towards superior, anterior, right.
    as_ras, in_ras = stored(tissue, (0, 1, 2), (1, -1, -1))
    found = {}
    for kind in ("stored", "ras", "canonical"):
        steps = Preprocessing(orientation=kind, resampling=nearest)
        bundle = make_bundle(tmp_path / kind, [member(spacing_zyx_mm=(2.5, 3, 2))], preprocessing=steps)
        found[kind] = Predictor(bundle, device="cpu", threads=1)
    expected = found["stored"].predict(Volume(array=hu(as_ras), geometry=in_ras)).labels
    back = OF_RAS.apply(expected)
    assert (found["canonical"].predict(volume_of(tissue)).labels != back).any()
    for axes, signs in ORIENTATIONS[::5]:
        given, geometry = stored(tissue, axes, signs)
        labels = found["ras"].predict(Volume(array=hu(given), geometry=geometry)).labels
        np.testing.assert_array_equal(labels, stored(back, axes, signs)[0])


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_few_slices(predictor, slices):
    truth = abdomen((slices, 40, 48))
    found = predictor.predict(volume_of(truth)).labels
    np.testing.assert_array_equal(found, truth)


def test_nothing_to_find(predictor):
    found = predictor.predict(volume_of(np.zeros((5, 9, 7), np.uint8))).labels
    assert found.shape == (5, 9, 7)
    assert not found.any()


@pytest.mark.parametrize("spacing", [(1.25, 0.75, 0.5), (2.0, 1.0, 0.8), (5.0, 2.0, 1.5)])
def test_another_grid_than_the_models(predictor, spacing):
    truth = abdomen((20, 60, 72))
    found = predictor.predict(volume_of(truth, spacing)).labels
    for label in np.unique(truth)[1:]:
        assert dice(found, truth, label) > 0.75, FLARE23.name_of(label)


def test_localization_crops_and_changes_nothing_inside(tmp_path):
    truth = np.pad(abdomen(), ((0, 0), (20, 30), (30, 10)))
    bundle = make_bundle(tmp_path / "b", localization=localization())
    segmented = Predictor(bundle, device="cpu", threads=1).predict(volume_of(truth))
    np.testing.assert_array_equal(segmented.labels, truth)
    assert list(segmented.timings.seconds) == ["localize", "networks", "restore", "clean up"]
    assert segmented.region.size_zyx < truth.shape
    assert segmented.warnings == ()


def test_where_localization_finds_nothing_no_organ_is_looked_for(tmp_path):
    bundle = make_bundle(tmp_path / "b", localization=localization())
    nothing = volume_of(np.zeros((5, 30, 30), np.uint8))
    segmented = Predictor(bundle, device="cpu", threads=1).predict(nothing)
    assert segmented.labels.shape == (5, 30, 30)
    assert not segmented.labels.any()
    assert segmented.region == Box(start_zyx=(0, 0, 0), stop_zyx=(5, 30, 30))
    assert list(segmented.timings.seconds) == ["localize"]
    assert segmented.warnings[-1].startswith("shows no abdomen: localization found no organ")
    assert segmented.doubts == segmented.organs == ()


@pytest.mark.parametrize("orientation", ["canonical", "stored"])
@pytest.mark.parametrize(("more_looks", "start"), [(0, 55), (1, 50), (2, 40), (3, 40)])
def test_the_region_grows_where_it_cuts(more_looks, start, orientation, tmp_path, monkeypatch):
    """Localization sees nothing in the first 60 mm along x, where liver (from 46) and kidney (from 49) begin.

    With a margin of 5 mm the region starts at 55, then 5 mm farther, then 10 more. The image is stored with
    rows and columns turned round.
    """
    truth = np.pad(abdomen((12, 60, 60)), ((0, 0), (10, 10), (40, 40)))
    turned, geometry = stored(truth, (0, 1, 2), (1, -1, -1))
    hidden = np.s_[..., :15] if orientation == "canonical" else np.s_[..., -15:]

    def half_blind(*arguments):
        mask = organ_mask(*arguments)
        mask[hidden] = False
        return mask

    monkeypatch.setattr("inference.case_steps.organ_mask", half_blind)
    found = localization(crop_axes=("x",), more_looks=more_looks)
    seen_as = Preprocessing(orientation=orientation)
    bundle = make_bundle(tmp_path / "b", localization=found, preprocessing=seen_as)
    segmented = Predictor(bundle, device="cpu", threads=1).predict(
        Volume(array=hu(turned), geometry=geometry)
    )
    before, after = segmented.region.start_zyx[2], 140 - segmented.region.stop_zyx[2]
    assert (before if orientation == "canonical" else after) == start
    truth[..., :start] = 0
    np.testing.assert_array_equal(segmented.labels, truth[:, ::-1, ::-1])
    cut = "liver and right kidney are cut off by the region that was looked at"
    assert (cut in segmented.doubts) == (start > 46)
    assert segmented.plan.groups[0].grid_zyx[2] == segmented.region.size_zyx[2]


def test_doubtful_images_are_refused_where_that_is_asked_for(tmp_path):
    strict = Predictor(make_bundle(tmp_path / "a"), device="cpu", threads=1, strict_input=True)
    with pytest.raises(InputError, match=r"has only 7 slices .* \(refused by --strict-input\)"):
        strict.predict(volume_of(abdomen((7, 40, 48))))
    gap = "slices are 2.00 to 8.00 mm apart (3 seem to be missing)"
    with pytest.raises(InputError, match=r"8\.00 mm apart \(3 seem.* \(refused by --strict-input\)"):
        strict.predict(replace(volume_of(abdomen((24, 40, 48))), warnings=(gap,), doubts=(gap,)))
    odd = hu(abdomen((24, 40, 48))).astype(np.float32)
    odd[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"1 of 46,080 voxels .* are NaN .* \(refused by --strict-input\)"):
        strict.predict(replace(volume_of(abdomen((24, 40, 48))), array=odd))
    unknown = Input(name="unknown", modality="other", intensity=INTENSITY)
    bundle = make_bundle(tmp_path / "b", localization=localization(), inputs=(unknown,))
    located = Predictor(bundle, device="cpu", threads=1, strict_input=True)
    with pytest.raises(InputError, match="shows no abdomen: localization found no organ"):
        located.predict(volume_of(np.zeros((32, 40, 48), np.uint8)))


def test_what_makes_an_image_doubtful_is_told_apart_from_other_warnings(tmp_path):
    lenient = Predictor(make_bundle(tmp_path / "a"), device="cpu", threads=1)
    gap = "slices are 2.00 to 8.00 mm apart (3 seem to be missing)"
    volume = replace(volume_of(abdomen((7, 40, 48))), warnings=(gap,), doubts=(gap,))
    segmented = lenient.predict(volume)
    assert segmented.image_doubts[0] == gap
    assert "has only 7 slices" in segmented.image_doubts[1]
    assert {*segmented.image_doubts} <= {*segmented.warnings}


@pytest.mark.parametrize("statistics", [True, False])
def test_organs_are_measured(statistics, tmp_path):
    bundle = make_bundle(tmp_path / "b", [member(), member(file="b.onnx", overlap=0.7)])
    truth = abdomen((24, 80, 96))
    with_statistics = Predictor(bundle, device="cpu", threads=1, statistics=statistics)
    segmented = with_statistics.predict(volume_of(truth))
    assert [organ.name for organ in segmented.organs] == [
        *("liver", "right kidney", "aorta", "left kidney", "tumor"),
    ]
    liver = segmented.organs[0]
    assert liver.volume_ml == pytest.approx(np.count_nonzero(truth == FLARE23.ids["liver"]) * 3.75 / 1000)
    assert liver.agreement == 1.0
    assert [organ.name for organ in segmented.organs if organ.crumb] == []
    assert (liver.values and (liver.values.mean, liver.values.sd)) == ((-150, 0) if statistics else None)
    assert [doubt.split(",")[0].split(" of ")[0] for doubt in segmented.doubts][:2] == ["a body", "liver"]


def test_a_few_voxels_are_crumbs_of_an_organ(predictor):
    truth = abdomen((24, 80, 96))
    aorta = truth == FLARE23.ids["aorta"]
    aorta[tuple(np.argwhere(aorta)[0])] = False
    truth[aorta] = 0  # One voxel of it is left.
    segmented = predictor.predict(volume_of(truth))
    assert [organ.name for organ in segmented.organs if organ.crumb] == ["aorta"]


@pytest.mark.parametrize("pairs", [True, False])
def test_organs_of_labels_that_are_noise_are_not_counted(tmp_path, monkeypatch, pairs):
    """Here more than no run at all is noise. Neither bundle has steps of clean-up."""
    monkeypatch.setattr(runs, "most_runs", lambda voxels, structures: 0)
    names = {"liver": 1, "kidneys": 2, "aorta": 3, "tumor": 4}
    unpaired = Output(label_set="own", labels=names, channels=("background", *names))
    bundle = make_bundle(tmp_path / "b", **({} if pairs else {"output": unpaired}))
    with Predictor(bundle, device="cpu", threads=1) as predictor:
        noise = predictor.predict(volume_of(abdomen()))
        nothing = predictor.predict(volume_of(np.zeros((12, 40, 48), np.uint8)))
    assert (noise.is_noise, noise.organs, nothing.is_noise) == (True, (), False)
    assert noise.warnings == ("labels are scattered like noise; left as they are, without clean-up",)


def test_timings_of_reading_are_counted_on(predictor):
    timings = Timings()
    with timings.stage("read"):
        pass
    segmented = predictor.predict(volume_of(abdomen()), timings=timings)
    assert list(segmented.timings.seconds) == ["read", "localize", "networks", "restore", "clean up"]
    assert "read" not in predictor.predict(volume_of(abdomen())).timings.seconds


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_labels_however_many_threads_work(threads, tmp_path):
    truth = abdomen((20, 60, 72))
    bundle = make_bundle(tmp_path / "b", [member(mirror_axes=("x",)), member(file="b.onnx", overlap=0.7)])
    one, more = (
        Predictor(bundle, device="onnxruntime", threads=count).predict(volume_of(truth, (1.25, 0.75, 0.5)))
        for count in (1, threads)
    )
    np.testing.assert_array_equal(more.labels, one.labels)


def test_an_ensemble_of_other_grids_windows_and_axes(tmp_path):
    members = [
        member(),
        member(file="b.onnx", window_zyx=(10, 12, 20), axes="RAS", mirror_axes=("x", "y"), weight=0.4),
        member(
            file="c.onnx",
            spacing_zyx_mm=(3.0, 2.0, 2.0),
            axes="LPS",
            overlap=0.0,
            importance=ConstantImportance(),
            weight=0.3,
        ),
    ]
    truth = abdomen()
    predictor = Predictor(make_bundle(tmp_path / "b", members), device="onnxruntime", threads=1)
    found = predictor.predict(volume_of(truth)).labels
    for label in np.unique(truth)[1:]:
        assert dice(found, truth, label) > 0.9, FLARE23.name_of(label)


def test_postprocessing_removes_what_the_manifest_says(tmp_path):
    truth = abdomen()
    steps = (MinVoxels(structures=("tumor",), voxels=10_000),)
    predictor = Predictor(make_bundle(tmp_path / "b", postprocessing=steps), device="cpu", threads=1)
    found = predictor.predict(volume_of(truth)).labels
    tumor = FLARE23.ids["tumor"]
    np.testing.assert_array_equal(found, np.where(truth == tumor, 0, truth))


@pytest.mark.parametrize(("ml", "left"), [(0.1, 5), (1000, 1)])
def test_crumbs_of_several_organs_are_removed_and_told_of(ml, left, tmp_path):
    """The aorta alone reaches from the first slice to the last; the tumor lies in the liver."""
    steps = (MinWholeVolume(structures=("liver", "right kidney", "left kidney", "aorta", "tumor"), ml=ml),)
    bundle = make_bundle(tmp_path / "b", postprocessing=steps)
    segmented = Predictor(bundle, device="cpu", threads=1).predict(volume_of(abdomen()))
    assert len(segmented.organs) == left
    said = "mere crumbs of liver, right kidney and left kidney, which were removed"
    assert (said in segmented.doubts) == (left == 1)


def test_members_that_share_a_file_share_a_session(tmp_path):
    bundle = make_bundle(tmp_path / "b", [member(), member(mirror_axes=("x",))])
    truth = abdomen()
    predictor = Predictor(bundle, device="cpu", threads=1)
    np.testing.assert_array_equal(predictor.predict(volume_of(truth)).labels, truth)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "fast"}, "device: must be auto, cpu, .*, is 'fast'"),
        ({"device": None}, "device: must be auto, cpu, .*, is None"),
        ({"precision": "int8"}, "precision: must be fp32 or None, is 'int8'"),
        ({"threads": -3}, "threads: must be a whole number, 0 or more, is -3"),
        ({"threads": 1.5}, r"threads: must be a whole number, 0 or more, is 1\.5"),
    ],
)
def test_arguments_of_no_known_value_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Predictor(make_bundle(tmp_path / "b"), **arguments)
