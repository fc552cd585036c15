"""What ends a call early or spoils it: one line that says what is wrong, the right exit code, whole files."""

import json
import resource
import shutil
import signal
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import DeviceError, InputError, OutputError
from inference.imaging.reading import open_image
from inference.imaging.writing import write_labels
from tests.end_to_end.calls import call, listing, names, run, start, told, write_case
from tests.places import ROOT


def make_empty(bench):
    (bench / "inputs" / "case_0000.nii.gz").unlink()


def make_missing(bench):
    shutil.rmtree(bench / "inputs")


def make_output_a_file(bench):
    (bench / "outputs").write_text("")


def put_input_into_output(bench):
    (bench / "outputs").mkdir()
    (bench / "inputs").rename(bench / "outputs" / "inputs")
    (bench / "inputs").symlink_to(bench / "outputs" / "inputs")


def make_output_the_input(bench):
    (bench / "outputs").symlink_to(bench / "inputs")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (make_empty, "holds no image"),
        (make_missing, "no such file or folder"),
        (make_output_a_file, "outputs: cannot be written"),
        (put_input_into_output, "lies in the output folder"),
        (make_output_the_input, "lies in the output folder"),
    ],
)
def test_wrong_folders_end_in_2_with_one_line(bench, bundle, capsys, spoil, message):
    spoil(bench)
    before = listing(bench)
    assert call(bench, bundle) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
    assert listing(bench) == before


def remove_bundle(folder):
    shutil.rmtree(folder)


def alter_network(folder):
    path = next(folder.glob("*.onnx"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def break_manifest(folder):
    (folder / "manifest.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_bundle, "no bundle here"),
        (alter_network, "was altered"),
        (break_manifest, "manifest.json: cannot be read as JSON"),
    ],
)
def test_a_wrong_bundle_ends_in_2_with_one_line(bench, bundle, tmp_path, capsys, spoil, message):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    spoil(copy)
    assert call(bench, copy) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
    assert names(bench / "outputs") == []


def test_an_output_folder_without_permission_ends_in_2(bench_for_all, bundle, capsys, as_nobody):
    (bench_for_all / "outputs").chmod(0o555)
    with as_nobody:
        assert call(bench_for_all, bundle) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "outputs: cannot be written (Permission denied)" in err


def test_an_image_without_permission_ends_in_1(bench_for_all, bundle, capsys, as_nobody):
    (bench_for_all / "inputs" / "case_0000.nii.gz").chmod(0)
    with as_nobody:
        assert call(bench_for_all, bundle) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "case_0000.nii.gz: cannot be read (Permission denied)" in err
    assert names(bench_for_all / "outputs") == []


def test_a_full_disk_ends_in_2_and_leaves_no_partial_file(bench, bundle):
    """Files may not grow beyond 200 bytes, which ends writing in the middle as a full disk does."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    command = [sys.executable, str(ROOT / "predict.py"), "--bundle", str(bundle)]
    code, _, err = run(command, bench, preexec_fn=small_files)
    assert (code, len(told(err))) == (2, 1)
    assert "case.nii.gz: cannot be written" in err
    assert names(bench / "outputs") == []


@pytest.mark.parametrize("options", [(), ("--case-timeout", "600")], ids=["alone", "watched"])
def test_sigterm_leaves_only_whole_files(bench, bundle, options):
    for i in range(40):
        shutil.copy(bench / "inputs" / "case_0000.nii.gz", bench / "inputs" / f"more_{i:02}.nii.gz")
    command = [sys.executable, str(ROOT / "predict.py"), "--bundle", str(bundle), "--report", "run.json"]
    process = start([*command, *options], bench)
    patience = time.monotonic() + 60
    while not names(bench / "outputs") and time.monotonic() < patience:
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "terminated; results written so far are whole"
    written = names(bench / "outputs")
    assert 0 < len(written) < 41
    for name in written:
        assert sitk.ReadImage(str(bench / "outputs" / name)).GetSize() == (48, 40, 12)
    cases = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert sorted(case["output"] for case in cases if case["status"] == "segmented") == written


@pytest.mark.parametrize(
    ("number", "code", "line"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_case_that_a_signal_spoils_has_not_failed(bench, bundle, capsys, monkeypatch, number, code, line):
    """The signal falls into a library, which says that the second case cannot be read."""
    for name in ("other", "third"):
        write_case(bench / "inputs" / f"{name}.nii.gz")

    def spoilt(path, *given):
        if path.name == "other.nii.gz":
            with suppress(BaseException):
                signal.raise_signal(number)
            raise InputError(f"{path}: is damaged")
        return open_image(path)

    monkeypatch.setattr("inference.imaging.reading.open_image", spoilt)
    monkeypatch.setattr("leanseg.ending.AGAIN_S", 1000.0)
    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert call(bench, bundle, "--report", str(bench / "run.json")) == code
    finally:
        signal.signal(signal.SIGINT, was)
    assert told(capsys.readouterr().err)[-1] == f"{line}; results written so far are whole"
    cases = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert [case["status"] for case in cases] == 3 * ["not run"]


def test_a_run_goes_on_where_it_was_interrupted(bench, bundle, capsys):
    write_case(bench / "inputs" / "other.nii.gz")
    (bench / "outputs").mkdir()
    done = bench / "outputs" / "case.nii.gz"
    geometry = open_image(bench / "inputs" / "case_0000.nii.gz").geometry
    write_labels(done, np.full(geometry.size_zyx, 7, np.uint8), geometry)
    before = done.read_bytes()
    (bench / "outputs" / ".leanseg-1-left-behind.tmp").touch()
    assert call(bench, bundle, "--skip-existing", "--report", str(bench / "run.json")) == 0
    assert done.read_bytes() == before
    assert names(bench / "outputs") == ["case.nii.gz", "other.nii.gz"]
    assert '"status": "skipped"' in (bench / "run.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [(), ("--case-timeout", "600")], ids=["alone", "watched"])
def test_a_failed_case_tells_of_its_result_of_an_earlier_run(bench, bundle, capsys, options):
    write_case(bench / "inputs" / "new.nii.gz")
    assert call(bench, bundle) == 0
    (bench / "outputs" / "new.nii.gz").unlink()
    before = listing(bench / "outputs")
    for name in ("case_0000.nii.gz", "new.nii.gz"):
        (bench / "inputs" / name).write_bytes(b"")
    capsys.readouterr()
    assert call(bench, bundle, "--report", str(bench / "run.json"), *options) == 1
    old, new = told(capsys.readouterr().err)
    assert old.endswith("; case.nii.gz of an earlier run is still there")
    assert "earlier run" not in new
    assert listing(bench / "outputs") == before
    cases = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert "of an earlier run" in cases[0]["error"]


@pytest.mark.parametrize(
    ("where", "message"), [("nowhere/run.json", "nowhere: no such folder"), ("inputs", "inputs: is a folder")]
)
def test_a_report_that_cannot_be_written_is_noticed_before_anything_runs(
    bench, bundle, capsys, where, message
):
    assert call(bench, bundle, "--report", str(bench / where)) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
    assert not (bench / "outputs").exists()


def test_a_report_may_lie_in_the_folder_of_results_that_is_not_made_yet(bench, bundle):
    where = bench / "outputs"
    assert call(bench, bundle, "--report", str(where / "r.json"), "--statistics", str(where / "v")) == 0
    assert names(where) == ["case.nii.gz", "r.json", "v.csv", "v.json"]


@pytest.mark.parametrize("option", ["--report", "--statistics"])
def test_an_image_is_not_written_over_by_what_is_said_of_it(bench, bundle, capsys, option):
    before = listing(bench)
    assert call(bench, bundle, option, str(bench / "inputs" / "case_0000.nii.gz")) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "case_0000.nii.gz: must end in " in err
    assert f"with {option}" in err
    assert not (bench / "outputs").exists()
    assert listing(bench) == before


@pytest.mark.parametrize("option", ["--report", "--statistics"])
def test_a_plan_is_refused_what_only_a_run_writes(bench, bundle, capsys, option):
    assert call(bench, bundle, "--plan", option, str(bench / "run.json")) == 2
    told_of = f"error: {option}: is for a run, and --plan runs nothing; leave one of them out\n"
    assert capsys.readouterr() == ("", told_of)
    assert names(bench) == ["inputs"]


def test_a_report_without_permission_is_noticed_before_anything_runs(
    bench_for_all, bundle, capsys, as_nobody
):
    with as_nobody:
        assert call(bench_for_all, bundle, "--report", str(bench_for_all / "inputs" / "run.json")) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "run.json: cannot be written (Permission denied)" in err


def test_a_report_that_fails_does_not_hide_why_the_run_ended(bench, bundle, capsys, monkeypatch):
    def raising(error):
        def fail(*args, **options):
            raise error

        return fail

    monkeypatch.setattr("inference.cohort.opening.Predictor", raising(DeviceError("no GPU")))
    monkeypatch.setattr("inference.command.write_report", raising(OutputError("run.json: the disk is full")))
    assert call(bench, bundle, "--report", str(bench / "run.json")) == 2
    assert capsys.readouterr().err.splitlines() == ["error: run.json: the disk is full", "error: no GPU"]


def test_a_case_that_could_not_be_written_is_a_failure_in_the_report(bench, bundle, capsys, monkeypatch):
    def full(path, *args):
        raise OutputError(f"{path}: the disk is full")

    monkeypatch.setattr("inference.cohort.one_case.write_labels", full)
    assert call(bench, bundle, "--report", str(bench / "run.json")) == 2
    (case,) = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert case["status"] == "failed"
    assert "case.nii.gz: the disk is full" in case["error"]


def test_cuda_that_does_not_load_ends_the_whole_call(bench, bundle, capsys, monkeypatch):
    """The driver shows a GPU, but onnxruntime's sessions come without the CUDA provider."""
    write_case(bench / "inputs" / "other.nii.gz")
    monkeypatch.setattr("inference.runtime.backends._why_no_cuda", lambda: "")
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    assert call(bench, bundle, "--device", "cuda") == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "member.onnx: cuda cannot load it" in err
    assert names(bench / "outputs") == []


def test_a_fault_of_the_program_is_one_line_too(bench, bundle, capsys, monkeypatch):
    monkeypatch.setattr("inference.cohort.opening.Predictor", lambda *args, **options: 1 / 0)
    assert call(bench, bundle) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "ZeroDivisionError" in err
    assert "--debug" in err
