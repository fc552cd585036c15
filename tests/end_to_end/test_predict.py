"""The entry point as its users call it: command line, exit codes, what is written and what is said."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

import predict
from inference.errors import DeviceError, OutputError
from model.labels import FLARE23
from tests.inference.bundles import abdomen, hu, make_bundle
from tests.inference.images import write_nifti
from tests.places import ROOT

SPACING = (1.0, 1.5, 2.5)


@pytest.fixture(scope="module")
def bundle():
    with open_folder() as folder:
        yield make_bundle(folder / "bands").folder


@contextmanager
def open_folder():
    """A temporary folder where every user may go, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def bench(tmp_path):
    """A working folder with `inputs/` that holds one case, and no `outputs/`."""
    (tmp_path / "inputs").mkdir()
    write_case(tmp_path / "inputs" / "case_0000.nii.gz")
    return tmp_path


@pytest.fixture
def bench_for_all():
    """Like `bench`, where every user may go."""
    with open_folder() as folder:
        (folder / "inputs").mkdir()
        (folder / "outputs").mkdir()
        (folder / "outputs").chmod(0o777)
        write_case(folder / "inputs" / "case_0000.nii.gz")
        yield folder


@pytest.fixture
def as_nobody(monkeypatch):
    """A block in which file permissions count even where the tests run as root.

    Nothing can be loaded in it, so no real predictor.
    """
    monkeypatch.setattr(
        "inference.command.Predictor", lambda *args, **options: SimpleNamespace(close=lambda: None)
    )

    @contextmanager
    def block():
        if os.getuid() == 0:
            os.setegid(1234)
            os.seteuid(1234)
        try:
            yield
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
                os.setegid(0)

    return block()


def write_case(path):
    return write_nifti(path, hu(abdomen()), spacing=SPACING)


def call(bench, bundle, *options):
    return predict.main(
        [
            "--input",
            str(bench / "inputs"),
            "--output",
            str(bench / "outputs"),
            "--bundle",
            str(bundle),
            *options,
        ]
    )


def start(command, cwd, **options):
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,
    )


def run(command, cwd, **options):
    process = start(command, cwd, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def listing(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture(autouse=True)
def keep_signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_the_command_line_is_understood():
    parsed = predict.parse(["--input", "a", "--threads", "2", "--device", "cpu"])
    assert (parsed.input, parsed.output, parsed.bundle) == (
        Path("a"),
        Path("outputs"),
        ROOT / "bundles" / "default",
    )
    assert (parsed.threads, parsed.device) == (2, "cpu")


@pytest.mark.parametrize(
    "argv", [["--threads", "0"], ["--device", "tpu"], ["--wrong"], ["--input"], ["a.nii.gz"]]
)
def test_a_wrong_command_line_ends_in_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        predict.parse(argv)
    assert ended.value.code == 2


def test_one_case_from_start_to_end(bench, bundle, capsys):
    before = listing(bench / "inputs")
    assert call(bench, bundle) == 0
    assert names(bench / "outputs") == ["case.nii.gz"]
    assert listing(bench / "inputs") == before
    image, labels = (
        sitk.ReadImage(str(bench / name)) for name in ("inputs/case_0000.nii.gz", "outputs/case.nii.gz")
    )
    for what in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(labels, what)() == getattr(image, what)()
    found = sitk.GetArrayFromImage(labels)
    assert np.mean(found == abdomen()) > 0.95
    assert set(np.unique(found).tolist()) <= {0, *FLARE23.ids.values()}
    out, err = capsys.readouterr()
    case, summary = out.splitlines()
    assert case.startswith("case_0000.nii.gz -> case.nii.gz: read ")
    assert summary.startswith("1 case: 1 segmented; ")
    assert err == ""


def test_plan_prints_and_stops(bench, bundle, capsys):
    (bench / "inputs" / "bad.nii.gz").write_bytes(b"")
    assert call(bench, bundle, "--plan", "--host-memory-mb", "500") == 1
    out, err = capsys.readouterr()
    assert out.startswith("case_0000.nii.gz\ndevice ")
    assert "of 500 MiB" in out
    assert "bad.nii.gz" in err
    assert not (bench / "outputs").exists()


def test_the_plan_counts_fractions_by_their_size(bench, bundle, capsys):
    write_nifti(bench / "inputs" / "case_0000.nii.gz", np.zeros((64, 128, 128), np.float64), spacing=SPACING)
    assert call(bench, bundle, "--plan") == 0
    assert "image (float32) 4" in capsys.readouterr().out


def test_a_budget_that_cannot_be_kept_is_refused(bench, bundle, capsys):
    for options in ([], ["--plan"]):
        assert call(bench, bundle, "--host-memory-mb", "100", *options) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(
            f"error: {bench / 'inputs' / 'case_0000.nii.gz'}: the memory budget cannot be kept; at least "
            "needed: host memory"
        )
    assert names(bench / "outputs") == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_as_organisers_call_it(bench, bundle, elsewhere):
    """`sh predict.sh` in the working directory, without a home, with inputs that are not to be written."""
    shutil.copy(ROOT / "predict.sh", bench)
    (bench / "outputs").mkdir()
    script = ROOT / "predict.sh"
    if not elsewhere:
        for name in ("predict.py", "inference", "model"):
            (bench / name).symlink_to(ROOT / name)
        script = "predict.sh"
    before = listing(bench / "inputs")
    code, out, err = run(["sh", str(script), "--bundle", str(bundle)], bench)
    assert (code, err) == (0, ""), out + err
    assert names(bench / "outputs") == ["case.nii.gz"]
    assert (bench / "outputs" / "case.nii.gz").stat().st_mode & 0o400
    assert listing(bench / "inputs") == before


def test_a_host_without_the_packages_is_told_so(bench):
    (bench / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', encoding="utf-8")
    (bench / "python3").chmod(0o755)
    ran = subprocess.run(
        ["sh", str(ROOT / "predict.sh")],
        cwd=bench,
        env={"PATH": f"{bench}:/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert "numpy is not installed" in ran.stderr
    assert "make .venv" in ran.stderr


def test_a_good_case_beside_a_bad_one(bench, bundle, capsys):
    (bench / "inputs" / "bad.nii.gz").write_bytes(b"nothing of this kind")
    assert call(bench, bundle) == 1
    assert names(bench / "outputs") == ["case.nii.gz"]
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert "bad.nii.gz" in err
    assert out.splitlines()[-1].startswith("2 cases: 1 segmented, 1 failed; ")


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
    assert (code, len(err.splitlines())) == (2, 1)
    assert "case.nii.gz: cannot be written" in err
    assert names(bench / "outputs") == []


def test_sigterm_leaves_only_whole_files(bench, bundle):
    for i in range(40):
        shutil.copy(bench / "inputs" / "case_0000.nii.gz", bench / "inputs" / f"more_{i:02}.nii.gz")
    process = start(
        [sys.executable, str(ROOT / "predict.py"), "--bundle", str(bundle), "--report", "run.json"], bench
    )
    patience = time.monotonic() + 60
    while not names(bench / "outputs") and time.monotonic() < patience:
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    written = names(bench / "outputs")
    assert 0 < len(written) < 41
    for name in written:
        assert sitk.ReadImage(str(bench / "outputs" / name)).GetSize() == (48, 40, 12)
    cases = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert sorted(case["output"] for case in cases if case["status"] == "segmented") == written


def test_a_run_goes_on_where_it_was_interrupted(bench, bundle, capsys):
    write_case(bench / "inputs" / "other.nii.gz")
    (bench / "outputs").mkdir()
    (bench / "outputs" / "case.nii.gz").write_bytes(b"done before")
    assert call(bench, bundle, "--skip-existing", "--report", str(bench / "run.json")) == 0
    assert (bench / "outputs" / "case.nii.gz").read_bytes() == b"done before"
    assert names(bench / "outputs") == ["case.nii.gz", "other.nii.gz"]
    assert '"status": "skipped"' in (bench / "run.json").read_text(encoding="utf-8")


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
    assert names(bench / "outputs") == []


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

    monkeypatch.setattr("inference.command.Predictor", raising(DeviceError("no GPU")))
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
    monkeypatch.setattr("inference.command.Predictor", lambda *args, **options: 1 / 0)
    assert call(bench, bundle) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "ZeroDivisionError" in err
    assert "--debug" in err
