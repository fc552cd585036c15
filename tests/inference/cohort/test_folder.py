"""A folder of cases with a predictor that is fast and foolish: isolation, order, what is done when."""

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from inference.cohort import one_case
from inference.cohort.cases import find_cases
from inference.cohort.outcome import exit_code, summary
from inference.errors import DeviceError, DeviceMemoryError, InputError, OutputError
from inference.imaging.reading import open_image
from inference.imaging.writing import holds_whole_labels, write_labels
from leanseg.ending import until_ended
from tests.inference.images import voxels, write_nifti, write_series
from tests.inference.predictors import Threshold


def test_two_inputs_with_one_output_name_both_fail(bench):
    bench.put(["a_0000", "a", "b"])
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
    bench.put("123")
    outcomes, predictor = bench.run(Threshold(fail={2: error}))
    assert bench.written == ["1.nii.gz", "3.nii.gz"]
    out, err = bench.lines
    assert (len(out), len(err)) == (2, 1)
    assert "2" in err[0]
    assert exit_code(outcomes) == 1
    assert predictor.closed
    assert summary(outcomes, 2.04) == "3 cases: 2 segmented, 1 failed; 2.0 s"


def test_a_device_that_does_not_work_ends_the_run(bench):
    bench.put("123")
    with pytest.raises(DeviceError, match="CUDA does not load"):
        bench.run(Threshold(fail={2: DeviceError("CUDA does not load")}))
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented", "failed", "not run"]
    assert "CUDA does not load" in bench.outcomes[1].error
    out, err = bench.lines
    assert (len(out), err) == (1, [])  # Whoever called says what ended the run.


@pytest.mark.parametrize("bad", ["1", "2", "3"])
def test_an_unreadable_case_never_harms_another(bench, bad):
    bench.put("123")
    (bench.source / f"{bad}.nii.gz").write_bytes(b"")
    bench.run()
    assert bench.written == [f"{name}.nii.gz" for name in "123" if name != bad]
    assert bench.statuses == ["failed" if name == bad else "segmented" for name in "123"]


@pytest.mark.parametrize("bad", ["1", "2", "3"])
def test_a_case_whose_voxels_are_damaged_never_harms_another(bench, bad):
    bench.put("123")
    path = bench.source / f"{bad}.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    bench.run()
    assert bench.written == [f"{name}.nii.gz" for name in "123" if name != bad]
    assert bench.statuses == ["failed" if name == bad else "segmented" for name in "123"]


def test_a_traceback_is_shown_only_when_asked_for(bench):
    bench.put("1")
    bench.debug = True
    bench.run(Threshold(fail={1: RuntimeError("bug")}))
    assert "Traceback" in bench.lines[1][0]
    (outcome,) = bench.outcomes
    assert "Traceback" not in outcome.error
    assert outcome.error.endswith("RuntimeError: bug; this is a fault of the program")
    assert bench.lines[1][-1] == f"error: {outcome.error}"
    bench.debug = False
    bench.run(Threshold(fail={1: RuntimeError("bug")}))
    assert bench.lines[1][-1] == f"error: {outcome.error}; run it with --debug"


def test_outcomes_are_told_in_the_order_of_the_cases(bench):
    bench.put("12345")
    (bench.source / "2.nii.gz").write_bytes(b"")
    bench.run(Threshold(fail={3: RuntimeError("bug")}))
    assert [outcome.case.path.name[0] for outcome in bench.outcomes] == list("12345")
    assert bench.statuses == ["segmented", "failed", "segmented", "failed", "segmented"]


def whole_labels(path, image):
    """Write an empty label map on the grid of an image, and say its bytes."""
    geometry = open_image(image).geometry
    write_labels(path, np.zeros(geometry.size_zyx, np.uint8), geometry)
    return path.read_bytes()


def test_existing_results_are_kept(bench):
    bench.put(["a_0000", "b"])
    kept = whole_labels(bench.output / "a.nii.gz", bench.source / "a_0000.nii.gz")
    outcomes, predictor = bench.run(skip_existing=True)
    assert (bench.output / "a.nii.gz").read_bytes() == kept
    assert len(predictor.seen) == 1
    assert [outcome.status for outcome in outcomes] == ["skipped", "segmented"]
    assert exit_code(outcomes) == 0


def test_no_predictor_is_made_for_nothing_to_do(bench):
    bench.put("a")
    whole_labels(bench.output / "a.nii.gz", bench.source / "a.nii.gz")
    bench.run(skip_existing=True, open_predictor=lambda first: pytest.fail("made a predictor"))
    assert bench.lines[0] == ["a.nii.gz: skipped, a.nii.gz is there"]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-6], lambda data: b"kept"])
def test_what_is_no_whole_result_is_made_again(bench, damage):
    bench.put("a")
    path = bench.output / "a.nii.gz"
    path.write_bytes(damage(whole_labels(path, bench.source / "a.nii.gz")))
    outcomes, _ = bench.run(skip_existing=True)
    assert [outcome.status for outcome in outcomes] == ["segmented"]
    assert holds_whole_labels(path)


@pytest.mark.parametrize(
    ("replaced", "changes"),
    [
        (voxels((3, 6, 7)), {}),  # another size
        (voxels(), {"spacing": (2.0, 3.0, 4.5)}),
        (voxels(), {"qoffset": (0, 0, 7), "sform_code": 0}),
    ],
    ids=["size", "spacing", "origin"],
)
def test_an_image_that_was_replaced_under_its_name_is_segmented_anew(bench, replaced, changes):
    bench.put("ab")
    bench.run()
    write_nifti(bench.source / "a.nii.gz", replaced, **changes)
    bench.outcomes.clear()
    outcomes, _ = bench.run(skip_existing=True)
    assert [outcome.status for outcome in outcomes] == ["segmented", "skipped"]
    assert bench.lines[1] == [
        "warning: a.nii.gz: the label map that is there lies on another grid than the image; the case is "
        "segmented anew"
    ]
    image, labels = (sitk.ReadImage(str(folder / "a.nii.gz")) for folder in (bench.source, bench.output))
    assert (labels.GetSize(), labels.GetSpacing()) == (image.GetSize(), image.GetSpacing())
    assert labels.GetOrigin() == image.GetOrigin()


@pytest.mark.parametrize(
    ("series", "status"), [(None, "skipped"), ("1.2.3", "skipped"), ("1.2.2", "segmented")]
)
def test_a_label_map_of_another_series_is_made_anew(bench, series, status):
    """It lies on the three slices of one series; the other, which may be named, has two."""
    for count in (2, 3):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(bench.source / "p", slices, uid=f"1.2.{count}", number=count)
    bench.run()
    cases = [replace(case, series=series) for case in find_cases(bench.source)]
    bench.outcomes.clear()
    bench.run(cases=cases, skip_existing=True)
    assert bench.statuses == [status]


def test_an_image_that_cannot_be_read_is_told_of_though_its_result_is_there(bench):
    bench.put("a")
    bench.run()
    (bench.source / "a.nii.gz").write_bytes(b"")
    bench.outcomes.clear()
    outcomes, _ = bench.run(skip_existing=True)
    assert [outcome.status for outcome in outcomes] == ["failed"]
    assert "is empty" in outcomes[0].error
    assert bench.written == ["a.nii.gz"]


def test_a_folder_in_the_place_of_a_result_is_the_fault_of_one_case(bench):
    bench.put("123")
    (bench.output / "2.nii.gz" / "inside").mkdir(parents=True)
    outcomes, _ = bench.run()
    assert [outcome.status for outcome in outcomes] == ["segmented", "failed", "segmented"]
    assert "2.nii.gz: cannot be written (Is a directory)" in outcomes[1].error
    assert sorted(path.name for path in bench.output.iterdir()) == [f"{n}.nii.gz" for n in (1, 2, 3)]
    assert exit_code(outcomes) == 1


def test_a_name_that_is_too_long_for_a_result_is_the_fault_of_one_case(bench):
    """251 characters with .nii; with .nii.gz there are 254, with .nii.gz in place of .mha 258."""
    write_nifti(bench.source / ("x" * 247 + ".nii"))
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(bench.source / "a.mha"))
    (bench.source / "a.mha").rename(bench.source / ("y" * 251 + ".mha"))
    outcomes, _ = bench.run()
    assert [outcome.status for outcome in outcomes] == ["segmented", "failed"]
    assert "cannot be written (File name too long)" in outcomes[1].error


def test_a_full_disk_ends_the_run_and_leaves_whole_files(bench, monkeypatch):
    bench.put("123")

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


@pytest.mark.parametrize(
    ("error", "reason", "is_traced"),
    [
        (MemoryError(), "does not fit into this machine's memory; crop the image first", False),
        (ValueError("odd"), "ValueError: odd; this is a fault of the program", True),
    ],
    ids=["memory", "fault"],
)
def test_what_one_result_alone_cannot_be_written_for_harms_no_other(
    bench, monkeypatch, error, reason, is_traced
):
    bench.put("123")

    def fail(path):
        if path.name == "2.nii.gz":
            raise error

    Slow(monkeypatch, fail)
    outcomes, predictor = bench.run(Threshold(warnings=("slow",)))
    assert bench.written == ["1.nii.gz", "3.nii.gz"]
    assert [outcome.status for outcome in outcomes] == ["segmented", "failed", "segmented"]
    bad = outcomes[1]
    assert (bad.error, bad.warnings, bad.ends_run) == (f"{bad.case.path}: {reason}", ("slow",), False)
    assert ("Traceback" in bad.trace) == is_traced
    assert (exit_code(outcomes), predictor.closed) == (1, True)


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


class Slow:
    """Stands in for `write_labels`: does something while the label map is being written."""

    def __init__(self, monkeypatch, meanwhile):
        self.meanwhile = meanwhile
        self.write = one_case.write_labels
        monkeypatch.setattr(one_case, "write_labels", self)

    def __call__(self, path, labels, geometry):
        self.meanwhile(path)
        self.write(path, labels, geometry)


def full_disk(path):
    raise OutputError(f"{path}: cannot be written (No space left on device); nothing was left behind")


@pytest.mark.parametrize("cases", ["1", "12"])
def test_a_run_ended_while_a_result_is_written_tells_of_that_case(bench, monkeypatch, cases):
    """What SIGTERM does: SystemExit where the main thread waits for a case to be on disk, not for reading."""
    bench.put(cases)
    waited = []

    class Interrupted(Future):
        def result(self, timeout=None):
            waited.append(1)
            if len(waited) == 1 + len(cases):
                raise SystemExit(143)
            return super().result(timeout)

    monkeypatch.setattr("concurrent.futures.thread._base.Future", Interrupted)
    monkeypatch.setattr("inference.cohort.assembly_line.Future", Interrupted)
    with pytest.raises(SystemExit):
        bench.run()
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented", "not run"][: len(cases)]


@pytest.mark.parametrize("written", [True, False])
def test_who_is_interrupted_while_a_file_is_begun_hears_of_it(bench, monkeypatch, written):
    """The pool's new thread may have written the file before the pool returns."""
    bench.put("1")

    class Pool(ThreadPoolExecutor):
        def submit(self, work, *given):
            if len(given) == 1:
                return super().submit(work, *given)  # Reads.
            if not written:
                signal.raise_signal(signal.SIGTERM)
            future = super().submit(work, *given)
            if written:
                future.result()
                signal.raise_signal(signal.SIGTERM)
            return future

    monkeypatch.setattr("inference.cohort.assembly_line.ThreadPoolExecutor", Pool)
    assert ended(bench) == 143
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented"]


def test_an_interruption_while_the_writing_thread_starts_loses_no_outcome(bench, monkeypatch):
    bench.put("1")
    segmented, interrupted = threading.Event(), threading.Event()
    start = threading._start_new_thread

    class Noting(Threshold):
        def predict(self, *args, **options):
            result = super().predict(*args, **options)
            segmented.set()
            return result

    def interrupted_start(*given):
        start(*given)
        if segmented.is_set():
            signal.raise_signal(signal.SIGTERM)
            interrupted.set()

    Slow(monkeypatch, lambda path: interrupted.wait(10))
    monkeypatch.setattr(threading, "_start_new_thread", interrupted_start)
    assert ended(bench, Noting()) == 143
    assert interrupted.is_set()
    assert bench.statuses == ["segmented"]


def test_who_is_interrupted_while_the_last_file_is_written_hears_of_it(bench, monkeypatch):
    """In Python 3.11 a thread counts as ended once waiting for its end was interrupted."""
    bench.put("1")
    Slow(monkeypatch, lambda path: signal.raise_signal(signal.SIGTERM))
    assert ended(bench) == 143
    assert bench.written == ["1.nii.gz"]
    assert bench.statuses == ["segmented"]


def ended(bench, *predictor):
    """Exit code of a run that a signal ends."""

    def work():
        bench.run(*predictor)
        return 1

    return until_ended(work)


class FailsInTime(Threshold):
    """Fails at the second case, while the first finds the disk full: not before, nor after."""

    def __init__(self, monkeypatch, error):
        super().__init__(fail={2: error})
        self.second_begun = threading.Event()

        def full(path):
            assert self.second_begun.wait(20)
            full_disk(path)

        Slow(monkeypatch, full)

    def predict(self, *given):
        if self.seen:
            self.second_begun.set()
        return super().predict(*given)


def test_a_device_that_fails_while_the_disk_is_full_loses_no_outcome(bench, monkeypatch):
    bench.put("12")
    with pytest.raises(OutputError):
        bench.run(FailsInTime(monkeypatch, DeviceError("CUDA does not load")))
    assert bench.statuses == ["failed", "failed"]
    assert "No space left" in bench.outcomes[0].error
    assert "CUDA does not load" in bench.outcomes[1].error


def test_ctrl_c_stays_ctrl_c_when_the_disk_is_full_too(bench, monkeypatch):
    bench.put("12")
    with pytest.raises(KeyboardInterrupt):
        bench.run(FailsInTime(monkeypatch, KeyboardInterrupt()))
    assert bench.statuses == ["failed", "not run"]


def test_warnings_of_a_failed_case_are_told(bench):
    bench.put("1")
    error = InputError("is bad")
    error.add_note("trying once more with a smaller plan")
    bench.run(Threshold(fail={1: error}))
    assert bench.outcomes[0].warnings == ("trying once more with a smaller plan",)
