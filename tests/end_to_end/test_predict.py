"""The entry point as its users call it: command line, exit codes, what is written and what is said."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import predict
from model.labels import FLARE23
from tests.end_to_end.calls import SPACING, call, listing, names, run, told, write_case
from tests.inference.bundles import abdomen
from tests.inference.images import write_nifti, write_series
from tests.places import ROOT


def test_the_command_line_is_understood():
    parsed = predict.parse(["--input", "a", "--threads", "2", "--device", "cpu"])
    assert (parsed.input, parsed.output, parsed.bundle) == (
        Path("a"),
        Path("outputs"),
        ROOT / "bundles" / "default",
    )
    assert (parsed.threads, parsed.device) == (2, "cpu")


@pytest.mark.parametrize(
    "argv",
    [
        ["--threads", "0"],
        ["--case-timeout", "nan"],
        ["--device", "tpu"],
        ["--series", " "],
        ["--wrong"],
        ["--input"],
        ["a.nii.gz"],
    ],
)
def test_a_wrong_command_line_ends_in_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        predict.parse(argv)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--input", "a.nii.gz", "b.nii.gz"], "'b.nii.gz'"),
        (["--input", "a.nii.gz", "b.nii.gz", "c.nii.gz", "--threads", "1"], "'b.nii.gz' and 1 more"),
    ],
)
def test_several_images_are_told_in_one_line_to_be_given_as_a_folder(argv, named, capsys):
    """A shell makes them of `--input *.nii.gz`."""
    with pytest.raises(SystemExit) as ended:
        predict.parse(argv)
    assert ended.value.code == 2
    told = f"predict.py: error: {named}: --input takes one path; of several images give the folder\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("option", ["--input", "--bundle", "--threads", "--host-memory-mb", "--statistics"])
def test_an_option_that_takes_one_value_is_refused_a_second(option, capsys):
    """`--input A --input B` would run B alone; only --format may be repeated."""
    predict.parse([option, "1", "--format", "rtstruct", "--format", "dicom-seg"])
    with pytest.raises(SystemExit) as ended:
        predict.parse([option, "1", option, "2"])
    assert ended.value.code == 2
    assert f"argument {option}: is given twice, and takes one value" in capsys.readouterr().err


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
    assert case.startswith("case_0000.nii.gz -> case.nii.gz: DOUBTFUL, see the warning; ")
    assert "; labels in " in summary
    assert summary.startswith("1 case: 1 segmented (1 doubtful); ")
    assert told(err) == []


def test_what_several_images_are_warned_of_is_told_once(bench, bundle, capsys):
    write_series(bench / "inputs" / "series", [(0.0, 0.0, 3.0 * i) for i in range(4)])
    write_case(bench / "inputs" / "other.nii.gz")
    assert call(bench, bundle, "--report", str(bench / "run.json")) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "beside a DICOM series" in line]
    assert line.startswith("warning: each of case_0000.nii.gz and other.nii.gz: lies beside a DICOM series")
    cases = json.loads((bench / "run.json").read_text(encoding="utf-8"))["cases"]
    assert ["beside a DICOM" in " ".join(case["warnings"]) for case in cases] == [True, True, False]


def test_the_series_that_is_named_is_segmented(bench, bundle, capsys):
    """Of two slices, not the one of three; a name that is not there is refused with both."""
    there = bench / "there"
    for count in (2, 3):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(there / "inputs", slices, uid=f"1.2.{count}", number=count)
    assert call(there, bundle, "--series", "1.2.2") == 0
    assert sitk.ReadImage(str(there / "outputs" / "inputs.nii.gz")).GetSize()[2] == 2
    assert "in one folder" not in capsys.readouterr().err
    assert call(there, bundle, "--series", "1.2.4", "--plan") == 1
    assert "holds no series 1.2.4; name one of these: 1.2.3: 3 CT" in capsys.readouterr().err


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
        assert call(bench, bundle, "--host-memory-mb", "50", *options) == 1
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
    assert (code, told(err)) == (0, []), out + err
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
    assert len(told(err)) == 1
    assert "bad.nii.gz" in err
    assert out.splitlines()[-1].startswith("2 cases: 1 segmented (1 doubtful), 1 failed; ")
