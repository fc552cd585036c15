"""A folder of cases with a predictor that is fast and foolish: isolation, order, what is done when."""

import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from inference.cohort.outcome import exit_code, summary
from inference.errors import BudgetError, DeviceError, DeviceMemoryError, InputError, OutputError
from inference.imaging.reading import open_image
from tests.inference.images import voxels, write_nifti
from tests.inference.predictors import Threshold, plan_with_room


def put(bench, names):
    for name in names:
        write_nifti(bench.source / f"{name}.nii.gz")


@pytest.fixture
def watch_reading(monkeypatch):
    """Calls a function with a path before its voxels are read, another with path and volume after that."""

    def watch(before=lambda path: None, after=lambda path, volume: None):
        def opened(path):
            image = open_image(path)

            def read():
                before(path)
                volume = image.read()
                after(path, volume)
                return volume

            return replace(image, read=read)

        monkeypatch.setattr("inference.cohort.one_case.open_image", opened)

    return watch


def test_two_inputs_with_one_output_name_both_fail(bench):
    put(bench, ["a_0000", "a", "b"])
    outcomes, _ = bench.run()
    assert bench.written == ["b.nii.gz"]
    out, err = bench.lines
    assert len(err) == 2
    assert all("a.nii.gz like that of another input; rename" in line for line in err)
    assert exit_code(outcomes) == 1
    assert len(out) == 1


def test_every_case_has_its_line_and_its_file(bench):
    write_nifti(bench.source / "a_0000.nii.gz")
    write_nifti(bench.source / "b.nii", voxels((3, 3, 3)))
    outcomes, predictor = bench.run()
    assert bench.written == ["a.nii.gz", "b.nii.gz"]
    out, err = bench.lines
    assert [line.split(":")[0] for line in out] == ["a_0000.nii.gz -> a.nii.gz", "b.nii -> b.nii.gz"]
    assert all(stage in out[0] for stage in ("read ", "networks ", "write "))
    assert err == []
    assert predictor.closed
    assert exit_code(outcomes) == 0
    labels = sitk.ReadImage(str(bench.output / "a.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(labels), voxels() > 100)
    assert labels.GetOrigin() == sitk.ReadImage(str(bench.source / "a_0000.nii.gz")).GetOrigin()


@pytest.mark.parametrize(
    "error", [InputError("case 2 is bad"), RuntimeError("a\nbug"), MemoryError(), DeviceMemoryError("case 2")]
)
def test_one_failing_case_never_harms_another(bench, error):
    put(bench, "123")
    outcomes, predictor = bench.run(Threshold(fail={2: error}))
    assert bench.written == ["1.nii.gz", "3.nii.gz"]
    out, err = bench.lines
    assert (len(out), len(err)) == (2, 1)
    assert "2" in err[0]
    assert exit_code(outcomes) == 1
    assert predictor.closed
    assert summary(outcomes, 2.04) == "3 cases: 2 segmented, 1 failed; 2.0 s"


def test_a_device_that_does_not_work_ends_the_run(bench):
    put(bench, "123")
    with pytest.raises(DeviceError, match="CUDA does not load"):
        bench.run(Threshold(fail={2: DeviceError("CUDA does not load")}))
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented", "failed", "not run"]
    assert "CUDA does not load" in bench.outcomes[1].error
    out, err = bench.lines
    assert (len(out), err) == (1, [])  # What ended the run is told by whoever called.


@pytest.mark.parametrize("bad", ["1", "2", "3"])
def test_an_unreadable_case_never_harms_another(bench, bad):
    put(bench, "123")
    (bench.source / f"{bad}.nii.gz").write_bytes(b"")
    bench.run()
    assert bench.written == [f"{name}.nii.gz" for name in "123" if name != bad]
    assert bench.statuses == ["failed" if name == bad else "segmented" for name in "123"]


@pytest.mark.parametrize("bad", ["1", "2", "3"])
def test_a_case_whose_voxels_are_damaged_never_harms_another(bench, bad):
    put(bench, "123")
    path = bench.source / f"{bad}.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    bench.run()
    assert bench.written == [f"{name}.nii.gz" for name in "123" if name != bad]
    assert bench.statuses == ["failed" if name == bad else "segmented" for name in "123"]


def test_a_traceback_is_shown_only_when_asked_for(bench):
    put(bench, "1")
    bench.debug = True
    bench.run(Threshold(fail={1: RuntimeError("bug")}))
    assert "Traceback" in bench.lines[1][0]
    (outcome,) = bench.outcomes
    assert "Traceback" not in outcome.error
    assert "RuntimeError: bug; this is a fault of the program, run it with --debug" in outcome.error


def test_outcomes_are_told_in_the_order_of_the_cases(bench):
    put(bench, "12345")
    (bench.source / "2.nii.gz").write_bytes(b"")
    bench.run(Threshold(fail={3: RuntimeError("bug")}))
    assert [outcome.case.path.name[0] for outcome in bench.outcomes] == list("12345")
    assert bench.statuses == ["segmented", "failed", "segmented", "failed", "segmented"]


def test_existing_results_are_kept(bench):
    put(bench, ["a_0000", "b"])
    (bench.output / "a.nii.gz").write_bytes(b"kept")
    outcomes, predictor = bench.run(skip_existing=True)
    assert (bench.output / "a.nii.gz").read_bytes() == b"kept"
    assert len(predictor.seen) == 1
    assert [outcome.status for outcome in outcomes] == ["skipped", "segmented"]
    assert exit_code(outcomes) == 0


def test_no_predictor_is_made_for_nothing_to_do(bench):
    put(bench, "a")
    (bench.output / "a.nii.gz").write_bytes(b"kept")
    bench.run(skip_existing=True, open_predictor=lambda: pytest.fail("made a predictor"))
    assert bench.lines[0] == ["a.nii.gz: skipped, a.nii.gz is there"]


def test_a_full_disk_ends_the_run_and_leaves_whole_files(bench, monkeypatch):
    put(bench, "123")

    def full(path, labels, geometry):
        if path.name != "1.nii.gz":
            raise OutputError(f"{path}: cannot be written (No space left on device)")
        path.write_bytes(b"whole")

    monkeypatch.setattr("inference.cohort.one_case.write_labels", full)
    with pytest.raises(OutputError, match=r"2\.nii\.gz: cannot be written"):
        bench.run()
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented", "failed", "not run"]
    assert "No space left" in bench.outcomes[1].error
    assert bench.lines[1] == []


# What is read when
# ----------------------------------------------------------------------------------------------------


def test_the_next_case_is_read_while_one_is_segmented(bench, watch_reading):
    put(bench, "12")
    second_read = threading.Event()
    watch_reading(after=lambda path, volume: second_read.set() if path.name == "2.nii.gz" else None)

    class Waits(Threshold):
        def predict(self, *given):
            assert second_read.wait(20)
            return super().predict(*given)

    outcomes, _ = bench.run(Waits())
    assert exit_code(outcomes) == 0


def test_the_next_case_is_not_read_ahead_where_memory_is_short(bench, watch_reading):
    put(bench, "123")
    read = []
    watch_reading(before=lambda path: read.append(path.name))

    class Watches(Threshold):
        def predict(self, *given):
            assert len(read) == len(self.seen) + 1
            assert len(bench.written) == len(self.seen)
            return super().predict(*given)

    outcomes, _ = bench.run(Watches(), room_mb=0.0)
    assert exit_code(outcomes) == 0
    assert read == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]


def test_one_image_at_a_time_where_memory_is_short(bench, watch_reading):
    put(bench, "123")
    before, held = [], []
    watch_reading(
        before=lambda path: held.append([image() is not None for image in before]),
        after=lambda path, volume: before.append(weakref.ref(volume.array)),
    )
    bench.run(room_mb=0.0)
    assert held == [[], [False], [False, False]]


@pytest.mark.parametrize(("dtype", "ahead"), [("i2", True), ("f8", False)])
def test_room_for_the_next_image_is_that_of_its_type(bench, watch_reading, dtype, ahead):
    """There is room for 2 bytes a voxel, which is enough for whole numbers and too little for fractions."""
    write_nifti(bench.source / "1.nii.gz")
    write_nifti(bench.source / "2.nii.gz", voxels((64, 64, 64), dtype))
    in_background = {}

    def note(path):
        in_background[path.name] = threading.current_thread() is not threading.main_thread()

    watch_reading(before=note)
    bench.run(room_mb=2 * 64**3 / 2**20)
    assert in_background == {"1.nii.gz": True, "2.nii.gz": ahead}


def test_headers_are_read_once_for_a_case(bench, monkeypatch):
    put(bench, "123")
    opened = []
    monkeypatch.setattr(
        "inference.cohort.one_case.open_image", lambda path: opened.append(path.name) or open_image(path)
    )
    for room_mb in (1000.0, 0.0):
        opened.clear()
        bench.run(room_mb=room_mb)
        assert opened == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]


@pytest.mark.parametrize("refused", ["1", "2", "3"])
@pytest.mark.parametrize("room_mb", [1000.0, 0.0])
def test_a_case_that_the_plan_refuses_is_never_read(bench, watch_reading, refused, room_mb):
    put(bench, "123")
    read = []
    watch_reading(before=lambda path: read.append(path.name[0]))

    def admit(opened):
        if opened.case.path.name[0] == refused:
            raise BudgetError("the memory budget cannot be kept")
        return plan_with_room(room_mb)

    outcomes, predictor = bench.run(admit=admit)
    assert sorted(read) == [name for name in "123" if name != refused]
    assert len(predictor.seen) == 2
    bad = outcomes[int(refused) - 1]
    assert bad.error == f"{bad.case.path}: the memory budget cannot be kept"
    assert bad.geometry.size_zyx == (7, 6, 5), "its header is known"
    assert exit_code(outcomes) == 1


def test_each_case_is_planned_once_and_run_by_its_plan(bench):
    put(bench, "123")
    plans = {}

    def admit(opened):
        assert opened.case.path.name not in plans
        return plans.setdefault(opened.case.path.name, plan_with_room())

    _, predictor = bench.run(admit=admit)
    assert [id(plan) for plan in predictor.plans] == [id(plan) for plan in plans.values()]


def test_a_case_without_a_plan_is_planned_by_the_predictor(bench):
    """Where the GPU was the program's choice and its budget cannot be kept, the predictor may leave it."""
    put(bench, "12")
    _, predictor = bench.run(admit=lambda opened: None)
    assert predictor.plans == [None, None]
    assert bench.statuses == ["segmented", "segmented"]


def test_warnings_of_reading_and_segmenting_belong_to_their_case(bench):
    write_nifti(bench.source / "1.nii.gz", sform_code=0, qform_code=0)
    write_nifti(bench.source / "2.nii.gz")

    class Warns(Threshold):
        def predict(self, *given):
            self.warnings = ("slow",) if self.seen else ()
            return super().predict(*given)

    outcomes, _ = bench.run(Warns())
    first, second = bench.lines[1]
    assert first.startswith("warning: 1.nii.gz: no orientation")
    assert second == "warning: 2.nii.gz: slow"
    assert [len(outcome.warnings) for outcome in outcomes] == [1, 1]


def test_names_that_no_terminal_can_show_are_spelled_out(bench):
    name = "a\nb\x1b[31m.nii.gz"
    (bench.source / name).write_bytes(b"")
    bench.run()
    (line,) = bench.lines[1]
    assert r"\x1b[31m" in line
    assert line.isprintable()
