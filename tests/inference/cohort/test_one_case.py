"""One case, step by step; values that travel between processes."""

import pickle
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from inference.cohort.cases import Case, find_cases
from inference.cohort.folder import FolderRun
from inference.cohort.one_case import (
    FailedCase,
    Failure,
    OpenedCase,
    attempt,
    failed_case,
    open_case,
    predict_case,
    prepare_case,
    written_case,
)
from inference.cohort.outcome import Outcome
from inference.errors import BudgetError, DeviceError, DeviceMemoryError, InputError, OutputError
from inference.geometry import Geometry
from inference.imaging.reading import open_image, read_volume
from inference.imaging.volume import Volume
from inference.planning.planner import Planner
from inference.predictor import Predictor
from inference.timing import Timings
from tests.inference.bundles import abdomen, hu, localization, make_bundle, member
from tests.inference.images import write_nifti, write_series
from tests.inference.predictors import Threshold, plan_with_room, segmented

SPACING = (1.0, 1.5, 2.5)


@pytest.fixture
def case(tmp_path):
    return Case(path=write_nifti(tmp_path / "a_0000.nii.gz"), output_name="a.nii.gz")


def admit(opened):
    return plan_with_room()


def segment(case, predictor, output, admit=admit):
    """One case from its files to its label map, one step after the other."""
    prepared = prepare_case(case, admit)
    if isinstance(prepared, FailedCase):
        return failed_case(prepared, prepared.failure)
    result = predict_case(prepared, prepared.read(), predictor)
    if isinstance(result, Failure):
        return failed_case(prepared, result)
    return written_case(prepared, result, output / case.output_name)


def without_time(outcome):
    return replace(outcome, timings=Timings())


# Opening
# ----------------------------------------------------------------------------------------------------


def two_channels(folder, **changes):
    paths = [write_nifti(folder / "a_0000.nii.gz"), write_nifti(folder / "a_0001.nii.gz", **changes)]
    return Case(path=paths[0], output_name="a.nii.gz", further=(paths[1],))


def test_channels_become_one_volume(tmp_path):
    array = np.arange(210, dtype=np.float32).reshape(7, 6, 5) / 7
    opened = open_case(two_channels(tmp_path, array=array))
    assert opened.voxel_bytes == 2 + 4
    volume = opened.read(Timings())
    assert [channel.dtype for channel in volume.channels] == [np.int16, np.float32]
    assert volume.voxel_bytes == 6
    np.testing.assert_array_equal(volume.channels[1], array)
    assert volume.geometry == open_image(tmp_path / "a_0000.nii.gz").geometry


def test_each_channel_is_of_the_modality_that_the_bundle_expects(tmp_path):
    """Both folders hold a CT of two slices and an MR of three."""
    paths = [tmp_path / f"a_000{channel}" for channel in (0, 1)]
    for path, (modality, count) in product(paths, (("CT", 2), ("MR", 3))):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(path, slices, uid=f"1.2.3.{count}", number=count, modality=modality)
    alone = Case(path=paths[0], output_name="a.nii.gz")
    assert open_case(alone).geometry.size_zyx[0] == 2
    assert open_case(replace(alone, modalities=("MR",))).geometry.size_zyx[0] == 3
    both = replace(alone, further=(paths[1],), modalities=("MR", "CT"))
    with pytest.raises(InputError, match="a_0001: lies on another grid than a_0000"):
        open_case(both)


def test_a_note_on_both_channels_is_told_once(tmp_path):
    paths = [write_nifti(tmp_path / f"a_000{i}.nii.gz", sform_code=0, qform_code=0) for i in (0, 1)]
    case = Case(path=paths[0], output_name="a.nii.gz", further=(paths[1],))
    (warning,) = open_case(case).read(Timings()).warnings
    assert warning.startswith("no orientation")


@pytest.mark.parametrize(
    "changes",
    [
        {"array": np.zeros((7, 6, 4), np.int16)},
        {"srow": (-2, 0, 0, 10.5, 0, -3, 0, 20, 0, 0, 4, 30), "qform_code": 0},
        {"srow": (2, 0, 0, 10, 0, -3, 0, 20, 0, 0, 4, 30), "qform_code": 0},
        {"spacing": (2.0, 3.0, 4.1)},
    ],
    ids=["size", "origin", "direction", "spacing"],
)
def test_channels_on_another_grid_are_refused(tmp_path, changes):
    case = two_channels(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        open_case(case)
    assert str(caught.value) == (
        f"{case.further[0]}: lies on another grid than a_0000.nii.gz; resample it to that one"
    )


def test_channels_whose_corners_differ_by_rounding_are_on_one_grid(tmp_path):
    opened = open_case(
        two_channels(tmp_path, srow=(-2, 0, 0, 10.005, 0, -3, 0, 20, 0, 0, 4, 30), qform_code=0)
    )
    assert opened.geometry.origin_xyz_mm == open_image(tmp_path / "a_0000.nii.gz").geometry.origin_xyz_mm


# Steps and what goes wrong in them
# ----------------------------------------------------------------------------------------------------


def raising(error):
    def step():
        raise error

    return step


def test_a_step_that_ends_well(case):
    assert attempt(case, lambda: 7) == 7


@pytest.mark.parametrize(
    ("error", "reason", "traced", "ends"),
    [
        (InputError("is damaged"), "is damaged", False, False),
        (BudgetError("too little"), "too little", False, False),
        (DeviceMemoryError("out of memory"), "out of memory", False, False),
        (DeviceError("no CUDA"), "no CUDA", False, True),
        (MemoryError(), "does not fit into this machine's memory; crop the image first", False, False),
        (
            KeyError("a\nb"),
            r"KeyError: 'a\nb'; this is a fault of the program",
            True,
            False,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_step_that_fails(case, error, reason, traced, ends):
    failure = attempt(case, raising(error))
    assert isinstance(failure, Failure)
    assert failure.reason == f"{case.path}: {reason}"
    assert ("Traceback" in failure.trace) == traced
    assert (failure.ends_run is error) == ends


def test_a_message_that_names_a_channel_is_left_as_it_is(tmp_path):
    case = two_channels(tmp_path)
    failure = attempt(case, raising(InputError(f"{case.further[0]}: is truncated")))
    assert failure.reason == f"{case.further[0]}: is truncated"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_not_caught(case, end):
    with pytest.raises(end):
        attempt(case, raising(end()))


def test_a_case_from_its_files_to_its_label_map(case, tmp_path):
    outcome = segment(case, Threshold(warnings=("slow",)), tmp_path)
    assert (outcome.status, outcome.warnings) == ("segmented", ("slow",))
    assert list(outcome.timings.seconds) == ["read", "networks", "write"]
    assert outcome.account["windows_run"] == 1
    assert read_volume(tmp_path / "a.nii.gz").array.sum() == (read_volume(case.path).array > 100).sum()


def test_a_case_that_fails_leaves_nothing(case, tmp_path):
    outcome = segment(case, Threshold(fail={1: InputError("bad")}), tmp_path)
    assert (outcome.status, outcome.error) == ("failed", f"{case.path}: bad")
    assert not (tmp_path / "a.nii.gz").exists()


def test_what_a_case_is_refused_for_is_not_told_as_a_warning_too(case, tmp_path):
    prepared = prepare_case(case, lambda opened: plan_with_room())
    volume = replace(prepared.read(), warnings=("slices have a gap", "axes are skew"))
    strict = Threshold(fail={1: InputError("slices have a gap (refused by --strict-input)")})
    refused = predict_case(prepared, volume, strict)
    assert refused.reason.endswith("slices have a gap (refused by --strict-input)")
    assert refused.warnings == ("axes are skew",)
    told = predict_case(prepared, volume, Threshold(warnings=("slices have a gap", "few organs")))
    assert told.warnings == ("slices have a gap", "axes are skew", "few organs")


def test_what_no_other_case_would_change_ends_the_run(case, tmp_path):
    error = DeviceError("no CUDA")
    prepared = prepare_case(case, admit)
    assert predict_case(prepared, prepared.read(), Threshold(fail={1: error})).ends_run is error
    with pytest.raises(OutputError, match=r"nowhere/a\.nii\.gz: cannot be written"):
        segment(case, Threshold(), tmp_path / "nowhere")


def test_a_case_that_the_plan_refuses_is_never_read(case, tmp_path, monkeypatch):
    def opened(path, *given):
        return replace(open_image(path), read=lambda: pytest.fail("read its voxels"))

    def refuse(opened):
        assert isinstance(opened, OpenedCase)
        raise BudgetError("the memory budget cannot be kept")

    monkeypatch.setattr("inference.imaging.reading.open_image", opened)
    outcome = segment(case, Threshold(), tmp_path, refuse)
    assert outcome.error == f"{case.path}: the memory budget cannot be kept"


# The engine itself
# ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cohort(tmp_path):
    """Three cases of different size, a predictor with a localization network, and its planner."""
    source = tmp_path / "in"
    source.mkdir()
    for i, size in enumerate(((12, 40, 48), (9, 40, 48), (14, 36, 40))):
        write_nifti(source / f"{i}_0000.nii.gz", hu(abdomen(size)), spacing=SPACING)
    bundle = make_bundle(
        tmp_path / "b", [member(mirror_axes=("x",)), member(file="b.onnx")], localization=localization()
    )
    predictor = Predictor(bundle, device="onnxruntime", threads=1)
    yield find_cases(source), predictor, Planner(bundle=bundle, backend="onnxruntime")
    predictor.close()


def test_one_after_another_and_as_a_folder_give_the_same(cohort, tmp_path):
    cases, predictor, planner = cohort

    def admit(opened):
        return planner.plan(opened.geometry, voxel_bytes=opened.voxel_bytes)

    for name in ("single", "folder"):
        (tmp_path / name).mkdir()
    one_by_one = [segment(case, predictor, tmp_path / "single", admit) for case in cases]
    together = []
    FolderRun(
        output=tmp_path / "folder",
        admit=admit,
        open_predictor=lambda first: predictor,
        tell=together.append,
        progress=lambda *_: None,
    ).run(cases)
    for one, other in zip(one_by_one, together, strict=True):
        peaks = {"host_peak_mb": 0}
        assert replace(without_time(one), account={**one.account, **peaks}) == replace(
            without_time(other), account={**other.account, **peaks}
        )
        assert (tmp_path / "single" / one.case.output_name).read_bytes() == (
            tmp_path / "folder" / one.case.output_name
        ).read_bytes()
    found = read_volume(tmp_path / "single" / "0.nii.gz").array
    np.testing.assert_array_equal(found, abdomen((12, 40, 48)))


def test_a_case_is_planned_twice_at_most(cohort, tmp_path, monkeypatch):
    """From its header, and when its region is known."""
    cases, predictor, planner = cohort
    planned = []
    plan = Planner.plan

    def counted(self, stored, region_zyx=None, **options):
        planned.append(region_zyx)
        return plan(self, stored, region_zyx, **options)

    monkeypatch.setattr(Planner, "plan", counted)
    for case in cases:
        planned.clear()
        outcome = segment(case, predictor, tmp_path, lambda opened: planner.plan(opened.geometry))
        assert outcome.status == "segmented"
        first, second = planned
        assert first is None
        start, stop = outcome.account["region"]
        assert second == tuple(b - a for a, b in zip(start, stop, strict=True))


# Travelling
# ----------------------------------------------------------------------------------------------------


def test_outcomes_survive_a_journey_between_processes(cohort, tmp_path):
    cases, predictor, planner = cohort
    bad = replace(cases[1], path=tmp_path / "nowhere.nii.gz")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    (tmp_path / "out").mkdir()
    for case in (cases[0], bad):
        outcome = segment(case, predictor, tmp_path / "out", lambda opened: planner.plan(opened.geometry))
        there = pickle.loads(pickle.dumps(outcome))
        assert isinstance(there, Outcome)
        assert there == outcome


def test_what_came_out_of_a_case_survives_a_journey_between_processes(cohort):
    _, predictor, _ = cohort
    geometry = Geometry(size_zyx=(12, 40, 48), spacing_zyx_mm=SPACING[::-1])
    volume = Volume(array=hu(abdomen()), geometry=geometry)
    for result in (predictor.predict(volume), segmented(abdomen(), warnings=("slow",))):
        there = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(there.labels, result.labels)
        assert replace(there, labels=None) == replace(result, labels=None)


def test_a_result_that_travelled_is_written_as_it_was(case, tmp_path):
    geometry = open_image(case.path).geometry
    result = replace(segmented(np.ones((7, 6, 5), np.uint8)), warnings=("odd",))
    there = pickle.loads(pickle.dumps(result))
    outcome = written_case(prepare_case(case, admit), there, tmp_path / case.output_name)
    assert (outcome.status, outcome.warnings) == ("segmented", ("odd",))
    assert read_volume(tmp_path / "a.nii.gz").geometry == geometry
