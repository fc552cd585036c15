"""`predict.py` where DICOM objects cannot be written: neither another case nor a label map is lost."""

import shutil

import pytest

from tests.end_to_end.calls import call, names, told, write_case

BOTH = ("--format", "dicom-seg", "--format", "rtstruct")


@pytest.fixture
def two_series(bench, series):
    """Names the bench's two cases, both the same series."""

    def put(first, second):
        shutil.rmtree(bench / "inputs")
        for name in (first, second):
            shutil.copytree(series, bench / "inputs" / name)

    return put


def test_a_failure_whose_name_is_too_long_for_an_object_harms_no_other(bench, bundle, capsys):
    """250 characters with .nii.gz, 256 with the .rtstruct.dcm that an earlier run might have left."""
    damaged = "x" * 243 + ".nii.gz"
    (bench / "inputs" / damaged).write_bytes(b"no image")
    write_case(bench / "inputs" / "yes.nii.gz")
    assert call(bench, bundle) == 1
    assert names(bench / "outputs") == ["case.nii.gz", "yes.nii.gz"]
    (line,) = told(capsys.readouterr().err)
    assert damaged in line
    assert "fault of the program" not in line


def test_a_name_that_is_too_long_for_an_object_costs_that_object_alone(bench, bundle, two_series, capsys):
    """253 characters with .nii.gz, 259 with .rtstruct.dcm."""
    long = "x" * 246
    two_series(long, "yes")
    for again in ((), ("--skip-existing",)):
        assert call(bench, bundle, "--format", "rtstruct", *again) == 1
        assert names(bench / "outputs") == [f"{long}.nii.gz", "yes.nii.gz", "yes.rtstruct.dcm"]
        said = capsys.readouterr()
        (line,) = (line for line in said.err.splitlines() if line.startswith("error: "))
        assert f"{long}.rtstruct.dcm: cannot be written (File name too long)" in line
        assert line.endswith(f"; its label map was written: {long}.nii.gz")
    assert said.out.splitlines()[-1].startswith("2 cases: 1 failed, 1 skipped")


@pytest.mark.parametrize("formats", [BOTH, BOTH[:2]], ids=["both", "dicom-seg"])
def test_a_folder_in_the_place_of_an_object_costs_that_case_its_objects(
    bench, bundle, two_series, capsys, formats
):
    two_series("first", "second")
    (bench / "outputs" / "first.seg.dcm" / "inside").mkdir(parents=True)
    assert call(bench, bundle, *formats) == 1
    objects = ["second.rtstruct.dcm"] * (formats == BOTH) + ["second.seg.dcm"]
    assert names(bench / "outputs") == ["first.nii.gz", "first.seg.dcm", "second.nii.gz", *objects]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert "first.seg.dcm: cannot be written (Is a directory)" in line
    assert line.endswith("; its label map was written: first.nii.gz")


def test_without_a_label_map_there_are_no_objects(bench, bundle, two_series, capsys):
    """They are written before it, and go where it cannot be written."""
    two_series("first", "second")
    (bench / "outputs" / "first.nii.gz" / "inside").mkdir(parents=True)
    assert call(bench, bundle, *BOTH) == 1
    assert names(bench / "outputs") == [
        "first.nii.gz",
        *("second.nii.gz", "second.rtstruct.dcm", "second.seg.dcm"),
    ]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert line.endswith("first.nii.gz: cannot be written (Is a directory); nothing was left behind")
