"""A folder of cases with a predictor that is fast and foolish: names, isolation, order, what is written when."""

import io
import json
import logging
import os
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from inference.call import Call
from inference.cohort.cases import check_folders, find_cases, output_name, prepare_output
from inference.cohort.folder import Batch, begin, exit_code, summary
from inference.cohort.progress import Console
from inference.cohort.run_report import write_report
from inference.errors import DeviceError, DeviceMemoryError, InputError, OutputError, UsageError
from inference.imaging.reading import read_volume
from tests.inference.images import voxels, write_nifti

running_as_root = os.getuid() == 0


class Threshold:
    """Labels voxels above 100 with 1; fails on request."""

    def __init__(self, fail=None):
        self.fail = fail or {}
        self.seen = []
        self.room = 1000.0
        self.closed = False

    def predict(self, volume, timings):
        self.seen.append(volume.geometry.size_zyx)
        if error := self.fail.get(len(self.seen)):
            raise error
        with timings.stage("networks"):
            return (volume.array > 100).astype(np.uint8)

    def room_mb(self, volume):
        return self.room

    def account(self):
        return {"windows_run": len(self.seen)}

    def close(self):
        self.closed = True


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def console():
    return Console(io.StringIO(), io.StringIO())


def lines(console):
    return console._out.getvalue().splitlines(), console._err.getvalue().splitlines()


def run(folders, console, predictor=None, **options):
    outcomes = begin(find_cases(folders[0]))
    predictor = predictor or Threshold()
    Batch(output=folders[1], console=console, **options).run(outcomes, lambda: predictor)
    return outcomes, predictor


def written(folders):
    return sorted(path.name for path in folders[1].iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CASE_0000.nii.gz", "CASE.nii.gz"),
        ("CASE.nii.gz", "CASE.nii.gz"),
        ("scan.mha", "scan.nii.gz"),
        ("scan.NRRD", "scan.nii.gz"),
        ("a.b_0000.nii", "a.b.nii.gz"),
        ("FLARE_0001_0000.nii.gz", "FLARE_0001.nii.gz"),
        ("CASE_0001.nii.gz", "CASE_0001.nii.gz"),
        ("MR 12 München", "MR 12 München.nii.gz"),
        ("image.dcm", "image.nii.gz"),
        ("v1.2", "v1.2.nii.gz"),
        ("_0000.nii.gz", "_0000.nii.gz"),
    ],
)
def test_output_names(name, expected):
    assert output_name(name) == expected


def test_cases_in_a_folder(folders):
    source, _ = folders
    for name in ("b_0000.nii.gz", "a.mha", "notes.txt", ".hidden.nii.gz", "._b_0000.nii.gz"):
        (source / name).write_bytes(b"x")
    (source / "c dicom" / "series 1").mkdir(parents=True)
    (source / "c dicom" / "series 1" / "IM0001").write_bytes(bytes(128) + b"DICM")
    (source / "empty").mkdir()
    assert [(case.path.name, case.output_name) for case in find_cases(source)] == [
        ("a.mha", "a.nii.gz"), ("b_0000.nii.gz", "b.nii.gz"), ("c dicom", "c dicom.nii.gz"),
    ]  # fmt: skip


def test_a_folder_of_slices_is_one_case(folders):
    for name in ("1.dcm", "2.dcm"):
        (folders[0] / name).write_bytes(b"")
    assert [(case.path, case.output_name) for case in find_cases(folders[0])] == [(folders[0], "in.nii.gz")]


def test_two_inputs_with_one_output_name_both_fail(folders, console):
    for name in ("a_0000.nii.gz", "a.nii.gz", "b.nii.gz"):
        write_nifti(folders[0] / name)
    outcomes, _ = run(folders, console)
    assert written(folders) == ["b.nii.gz"]
    out, err = lines(console)
    assert len(err) == 2
    assert all("a.nii.gz like that of another input; rename" in line for line in err)
    assert exit_code(outcomes) == 1
    assert len(out) == 1


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_nothing_to_do_is_a_wrong_call(folders, name):
    with pytest.raises(UsageError, match=r"holds no image|no such file"):
        find_cases(folders[0] / name)


@pytest.mark.parametrize(
    ("source", "output"), [("a", "a"), ("a/b", "a"), ("a/b/c.nii.gz", "a"), ("a/b/c.nii.gz", "a/b")]
)
def test_input_inside_output_is_a_wrong_call(tmp_path, source, output):
    with pytest.raises(UsageError, match="lies in the output folder"):
        check_folders(tmp_path / source, tmp_path / output)


def test_output_beside_or_below_the_input_is_fine(tmp_path):
    check_folders(tmp_path / "inputs", tmp_path / "outputs")
    check_folders(tmp_path, tmp_path / "outputs")
    check_folders(tmp_path / "case.nii.gz", tmp_path / "outputs")


def test_an_output_folder_is_made(tmp_path):
    prepare_output(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out: cannot be written"):
        prepare_output(tmp_path / "out")


@pytest.mark.skipif(running_as_root, reason="root may write everywhere")
def test_an_output_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        prepare_output(tmp_path)


def test_every_case_has_its_line_and_its_file(folders, console):
    write_nifti(folders[0] / "a_0000.nii.gz")
    write_nifti(folders[0] / "b.nii", voxels((3, 3, 3)))
    outcomes, predictor = run(folders, console)
    assert written(folders) == ["a.nii.gz", "b.nii.gz"]
    out, err = lines(console)
    assert [line.split(":")[0] for line in out] == ["a_0000.nii.gz -> a.nii.gz", "b.nii -> b.nii.gz"]
    assert all(stage in out[0] for stage in ("read ", "networks ", "write "))
    assert err == []
    assert predictor.closed
    assert exit_code(outcomes) == 0
    labels = sitk.ReadImage(str(folders[1] / "a.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(labels), voxels() > 100)
    assert labels.GetOrigin() == sitk.ReadImage(str(folders[0] / "a_0000.nii.gz")).GetOrigin()


@pytest.mark.parametrize(
    "error", [InputError("case 2 is bad"), RuntimeError("a\nbug"), MemoryError(), DeviceMemoryError("case 2")]
)
def test_one_failing_case_never_harms_another(folders, console, error):
    for name in ("1.nii.gz", "2.nii.gz", "3.nii.gz"):
        write_nifti(folders[0] / name)
    outcomes, predictor = run(folders, console, Threshold(fail={2: error}))
    assert written(folders) == ["1.nii.gz", "3.nii.gz"]
    out, err = lines(console)
    assert (len(out), len(err)) == (2, 1)
    assert "2" in err[0]
    assert exit_code(outcomes) == 1
    assert predictor.closed
    assert summary(outcomes, 2.04) == "3 cases: 2 segmented, 1 failed; 2.0 s"


def test_a_device_that_does_not_work_ends_the_run(folders, console):
    for name in "123":
        write_nifti(folders[0] / f"{name}.nii.gz")
    outcomes = begin(find_cases(folders[0]))
    predictor = Threshold(fail={2: DeviceError("CUDA does not load")})
    with pytest.raises(DeviceError, match="CUDA does not load"):
        Batch(output=folders[1], console=console).run(outcomes, lambda: predictor)
    assert written(folders) == ["1.nii.gz"]
    assert [outcome.status for outcome in outcomes] == ["segmented", "failed", "not run"]
    out, err = lines(console)
    assert (len(out), err) == (1, [])  # What ended the run is told by whoever called.


@pytest.mark.parametrize("bad", ["1", "2", "3"])
def test_an_unreadable_case_never_harms_another(folders, console, bad):
    for name in "123":
        write_nifti(folders[0] / f"{name}.nii.gz")
    (folders[0] / f"{bad}.nii.gz").write_bytes(b"")
    outcomes, _ = run(folders, console)
    assert written(folders) == [f"{name}.nii.gz" for name in "123" if name != bad]
    assert [outcome.status for outcome in outcomes] == [
        "failed" if name == bad else "segmented" for name in "123"
    ]


def test_a_traceback_is_shown_only_when_asked_for(folders, console):
    write_nifti(folders[0] / "1.nii.gz")
    run(folders, console, Threshold(fail={1: RuntimeError("bug")}), debug=True)
    assert "Traceback" in lines(console)[1][0]


def test_existing_results_are_kept(folders, console):
    for name in ("a_0000.nii.gz", "b.nii.gz"):
        write_nifti(folders[0] / name)
    (folders[1] / "a.nii.gz").write_bytes(b"kept")
    outcomes, predictor = run(folders, console, skip_existing=True)
    assert (folders[1] / "a.nii.gz").read_bytes() == b"kept"
    assert len(predictor.seen) == 1
    assert [outcome.status for outcome in outcomes] == ["skipped", "segmented"]
    assert exit_code(outcomes) == 0


def test_no_predictor_is_made_for_nothing_to_do(folders, console):
    write_nifti(folders[0] / "a.nii.gz")
    (folders[1] / "a.nii.gz").write_bytes(b"kept")
    outcomes = begin(find_cases(folders[0]))
    Batch(output=folders[1], console=console, skip_existing=True).run(
        outcomes, lambda: pytest.fail("made a predictor")
    )
    assert lines(console)[0] == ["a.nii.gz: skipped, a.nii.gz is there"]


def test_a_full_disk_ends_the_run_and_leaves_whole_files(folders, console, monkeypatch):
    for name in "123":
        write_nifti(folders[0] / f"{name}.nii.gz")

    def full(path, labels, geometry):
        if path.name != "1.nii.gz":
            raise OutputError(f"{path}: cannot be written (No space left on device)")
        path.write_bytes(b"whole")

    monkeypatch.setattr("inference.cohort.folder.write_labels", full)
    outcomes = begin(find_cases(folders[0]))
    with pytest.raises(OutputError, match=r"2\.nii\.gz: cannot be written"):
        Batch(output=folders[1], console=console).run(outcomes, Threshold)
    assert written(folders) == ["1.nii.gz"]
    assert [outcome.status for outcome in outcomes] == ["segmented", "failed", "not run"]
    assert "No space left" in outcomes[1].error


def test_the_next_case_is_read_while_one_is_segmented(folders, console, monkeypatch):
    for name in "12":
        write_nifti(folders[0] / f"{name}.nii.gz")
    second_read = threading.Event()

    def read(path):
        volume = read_volume(path)
        if path.name == "2.nii.gz":
            second_read.set()
        return volume

    class Waits(Threshold):
        def predict(self, volume, timings):
            assert second_read.wait(20)
            return super().predict(volume, timings)

    monkeypatch.setattr("inference.cohort.folder.read_volume", read)
    outcomes, _ = run(folders, console, Waits())
    assert exit_code(outcomes) == 0


def test_the_next_case_is_not_read_ahead_where_memory_is_short(folders, console, monkeypatch):
    for name in "123":
        write_nifti(folders[0] / f"{name}.nii.gz")
    read = []
    monkeypatch.setattr(
        "inference.cohort.folder.read_volume", lambda path: read.append(path.name) or read_volume(path)
    )

    class Watches(Threshold):
        def predict(self, volume, timings):
            assert len(read) == len(self.seen) + 1
            assert len(written(folders)) == len(self.seen)
            return super().predict(volume, timings)

    predictor = Watches()
    predictor.room = 0.0
    outcomes, _ = run(folders, console, predictor)
    assert exit_code(outcomes) == 0
    assert read == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]


def test_one_image_at_a_time_where_memory_is_short(folders, console, monkeypatch):
    for name in "123":
        write_nifti(folders[0] / f"{name}.nii.gz")
    before, held = [], []

    def read(path):
        held.append([image() is not None for image in before])
        volume = read_volume(path)
        before.append(weakref.ref(volume))
        return volume

    monkeypatch.setattr("inference.cohort.folder.read_volume", read)
    predictor = Threshold()
    predictor.room = 0.0
    run(folders, console, predictor)
    assert held == [[], [False], [False, False]]


@pytest.mark.parametrize(("dtype", "ahead"), [("i2", True), ("f8", False)])
def test_room_for_the_next_image_is_that_of_its_type(folders, console, monkeypatch, dtype, ahead):
    """There is room for 2 bytes a voxel, which is enough for whole numbers and too little for fractions."""
    write_nifti(folders[0] / "1.nii.gz")
    write_nifti(folders[0] / "2.nii.gz", voxels((64, 64, 64), dtype))
    in_background = {}

    def read(path):
        in_background[path.name] = threading.current_thread() is not threading.main_thread()
        return read_volume(path)

    monkeypatch.setattr("inference.cohort.folder.read_volume", read)
    predictor = Threshold()
    predictor.room = 2 * 64**3 / 2**20
    run(folders, console, predictor)
    assert in_background == {"1.nii.gz": True, "2.nii.gz": ahead}


def test_warnings_of_reading_and_segmenting_belong_to_their_case(folders, console):
    write_nifti(folders[0] / "1.nii.gz", sform_code=0, qform_code=0)
    write_nifti(folders[0] / "2.nii.gz")

    class Warns(Threshold):
        def predict(self, volume, timings):
            if self.seen:
                logging.getLogger("inference.runtime.session").warning("slow")
            return super().predict(volume, timings)

    run(folders, console, Warns())
    first, second = lines(console)[1]
    assert first.startswith("warning: 1.nii.gz: no orientation")
    assert second == "warning: 2.nii.gz: slow"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal_leaves_no_trace():
    out, err = io.StringIO(), Terminal()
    console = Console(out, err)
    console.progress(1, 4, "b.nii.gz")
    assert err.getvalue() == "[#######                       ] 1/4 b.nii.gz"
    console.say("a: done")
    console.progress(4, 4)
    assert out.getvalue() == "a: done\n"
    assert err.getvalue().endswith("\r")


def test_names_that_no_terminal_can_show_are_spelled_out(folders, console):
    name = "a\nb\x1b[31m.nii.gz"
    (folders[0] / name).write_bytes(b"")
    run(folders, console)
    (line,) = lines(console)[1]
    assert r"\x1b[31m" in line
    assert line.isprintable()


def test_report(folders, console, tmp_path):
    write_nifti(folders[0] / "a_0000.nii.gz")
    (folders[0] / "b.nii.gz").write_bytes(b"")
    outcomes, _ = run(folders, console)
    bundle = SimpleNamespace(manifest=SimpleNamespace(name="fake"), sha256="0" * 64)
    write_report(
        tmp_path / "run.json",
        Call(input=folders[0], output=folders[1], bundle=tmp_path),
        bundle,
        outcomes,
        1.5,
    )
    report = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert report["bundle"] == {"name": "fake", "sha256": "0" * 64}
    assert report["versions"]["numpy"] == np.__version__
    assert report["host_peak_mb"] > 10
    good, bad = report["cases"]
    assert (good["status"], good["output"], good["size_zyx"]) == ("segmented", "a.nii.gz", [7, 6, 5])
    assert set(good["seconds"]) == {"read", "networks", "write"}
    assert [name for name, start, end in good["spans_unix_s"] if start <= end] == [
        "read",
        "networks",
        "write",
    ]
    assert good["windows_run"] == 1
    assert (bad["status"], bad["size_zyx"]) == ("failed", None)
    assert "0 bytes" in bad["error"]
