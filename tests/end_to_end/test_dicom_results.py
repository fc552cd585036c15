"""`predict.py --format`: what is written, what is refused before it runs, and what is done once more."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from inference.cohort import further_results
from tests.end_to_end.calls import call, names
from tests.inference.bundles import abdomen

BOTH = ("--format", "dicom-seg", "--format", "rtstruct")


def segments(path):
    return [segment.SegmentLabel for segment in pydicom.dcmread(path).SegmentSequence]


def test_a_series_gets_a_label_map_and_both_objects(bench, bundle, series):
    shutil.rmtree(bench / "inputs")
    series.rename(bench / "inputs")
    assert call(bench, bundle, *BOTH) == 0
    assert names(bench / "outputs") == ["inputs.nii.gz", "inputs.rtstruct.dcm", "inputs.seg.dcm"]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(bench / "outputs/inputs.nii.gz")))
    seg = pydicom.dcmread(bench / "outputs/inputs.seg.dcm")
    assert np.count_nonzero(labels) == np.count_nonzero(seg.pixel_array) > 0.9 * np.count_nonzero(abdomen())


def test_a_second_run_does_not_segment_what_the_first_wrote_into_the_input(bench, bundle, series, capsys):
    shutil.rmtree(bench / "inputs")
    (bench / "inputs").mkdir()
    series.rename(bench / "inputs" / "ct")
    for _ in range(2):
        assert call(bench, bundle, *BOTH, "--output", str(bench / "inputs" / "out")) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("1 case: 1 segmented")
    assert names(bench / "inputs" / "out") == ["ct.nii.gz", "ct.rtstruct.dcm", "ct.seg.dcm"]


def test_an_image_made_from_a_series_refers_to_it(bench, bundle, series):
    """Though it has its rows and slices in another order than the series."""
    path = str(bench / "inputs/case_0000.nii.gz")
    sitk.WriteImage(sitk.Flip(sitk.ReadImage(path), (True, False, True)), path)
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 0
    labels = sitk.ReadImage(str(bench / "outputs/case.nii.gz"))
    seg = pydicom.dcmread(bench / "outputs/case.seg.dcm")
    straight = sitk.GetArrayFromImage(sitk.Flip(labels, (True, False, True)))
    first = seg.SegmentSequence[0].SegmentLabel
    frames = [
        frame
        for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True)
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    ]
    held = straight == straight[straight > 0].min()
    assert first
    assert (np.stack(frames) == held[held.any(axis=(1, 2))]).all()


def test_what_lacks_an_object_is_done_once_more(bench, bundle, series, capsys):
    template = ("--template", str(series), "--skip-existing")
    assert call(bench, bundle) == 0
    assert call(bench, bundle, "--format", "dicom-seg", *template) == 0
    assert "1 segmented" in capsys.readouterr().out
    assert call(bench, bundle, "--format", "dicom-seg", *template) == 0
    assert "1 skipped" in capsys.readouterr().out


def test_nothing_found_is_no_object_and_is_said(bench, bundle, series, capsys):
    path = str(bench / "inputs/case_0000.nii.gz")
    sitk.WriteImage(sitk.ReadImage(path) * 0 - 1000, path)
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 0
    assert names(bench / "outputs") == ["case.nii.gz"]
    said = capsys.readouterr().err
    assert "no structure was found: there is nothing to write as dicom-seg and rtstruct" in said


def test_nothing_found_leaves_no_object_of_an_earlier_run(bench, bundle, series, capsys):
    """A tumor that was found in another image of that name is no result of this one."""
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 0
    assert names(bench / "outputs") == ["case.nii.gz", "case.rtstruct.dcm", "case.seg.dcm"]
    path = str(bench / "inputs/case_0000.nii.gz")
    sitk.WriteImage(sitk.ReadImage(path) * 0 - 1000, path)
    assert call(bench, bundle, "--format", "dicom-seg", "--template", str(series)) == 0
    assert names(bench / "outputs") == ["case.nii.gz"]
    said = capsys.readouterr().err
    assert "nothing to write as dicom-seg\n" in said
    assert "removed case.seg.dcm and case.rtstruct.dcm: of an earlier segmentation\n" in said


@pytest.mark.parametrize(
    ("formats", "gone"), [((), "case.seg.dcm and case.rtstruct.dcm"), (BOTH[2:], "case.seg.dcm")]
)
def test_objects_that_are_not_written_anew_go(bench, bundle, series, capsys, formats, gone):
    """They show what an earlier run, perhaps with another bundle, found."""
    template = ("--template", str(series))
    assert call(bench, bundle, *BOTH, *template) == 0
    assert "removed" not in capsys.readouterr().err
    assert call(bench, bundle, "--skip-existing") == 0
    assert names(bench / "outputs") == ["case.nii.gz", "case.rtstruct.dcm", "case.seg.dcm"]
    assert call(bench, bundle, *formats, *(template if formats else ())) == 0
    assert names(bench / "outputs") == ["case.nii.gz", "case.rtstruct.dcm"][: 2 if formats else 1]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "removed" in line)
    assert line == f"warning: case_0000.nii.gz: removed {gone}: of an earlier segmentation"


def test_a_label_map_is_written_though_no_object_can_be_made(bench, bundle, series, capsys, monkeypatch):
    """The objects of the run before are not of the new label map, so they go."""
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 0
    before = (bench / "outputs/case.nii.gz").stat().st_ino
    capsys.readouterr()

    def odd(*_):
        raise ValueError("an odd header")

    writing = sys.modules[further_results.WRITING]
    monkeypatch.setattr(writing, "OBJECTS", {**writing.OBJECTS, "rtstruct": odd})
    report, table = bench / "run.json", bench / "organs.csv"
    asked = ("--template", str(series), "--report", str(report), "--statistics", str(table))
    assert call(bench, bundle, *BOTH, *asked) == 1
    assert names(bench / "outputs") == ["case.nii.gz"]
    assert (bench / "outputs/case.nii.gz").stat().st_ino != before
    said = capsys.readouterr()
    (line,) = (line for line in said.err.splitlines() if line.startswith("error: "))
    assert "no rtstruct can refer to it (an odd header); leave out --format" in line
    assert line.endswith("; its label map was written: case.nii.gz")
    assert said.out.splitlines()[-1].startswith("1 case: 1 failed")
    (case,) = json.loads(report.read_text(encoding="utf-8"))["cases"]
    assert case["status"] == "failed"
    assert case["windows_run"] > 0
    found = [line.split(",")[1] for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    assert found == [organ["organ"] for organ in case["organs"]] != []
    assert f"look at the result: {case['doubts'][0]}" in said.err


def test_a_label_map_is_written_though_its_objects_would_take_too_much(
    bench, bundle, series, capsys, monkeypatch
):
    """A frame takes 60 MiB: of 14 structures in each of 12 slices 2000 MiB hold an eighth, more are found."""
    cost = replace(further_results.SEG_COST, frame_bytes=60 << 20)
    monkeypatch.setattr(further_results, "SEG_COST", cost)
    options = ("--template", str(series), "--host-memory-mb", "2000")
    assert call(bench, bundle, "--format", "dicom-seg", *options) == 1
    assert names(bench / "outputs") == ["case.nii.gz"]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert "case_0000.nii.gz: as dicom-seg it would take " in line
    assert line.endswith("; its label map was written: case.nii.gz")
    monkeypatch.undo()
    assert call(bench, bundle, "--format", "dicom-seg", *options, "--skip-existing") == 0
    assert names(bench / "outputs") == ["case.nii.gz", "case.seg.dcm"]


def test_a_failure_names_all_that_an_earlier_run_left(bench, bundle, series, capsys):
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 0
    (bench / "inputs/case_0000.nii.gz").write_bytes(b"")
    capsys.readouterr()
    assert call(bench, bundle) == 1
    left = "case.nii.gz, case.seg.dcm and case.rtstruct.dcm of an earlier run are still there\n"
    assert capsys.readouterr().err.endswith(f"; {left}")


def test_an_image_without_slices_is_refused_before_it_is_run(bench, bundle, capsys):
    assert call(bench, bundle, *BOTH) == 1
    said = capsys.readouterr().err
    assert "case_0000.nii.gz: is no DICOM series, to whose slices --format dicom-seg would refer" in said
    assert names(bench / "outputs") == []


def test_a_template_that_lies_elsewhere_is_refused(bench, bundle, series, capsys):
    for path in series.iterdir():
        one = pydicom.dcmread(path)
        one.ImagePositionPatient = [one.ImagePositionPatient[0] + 1, *one.ImagePositionPatient[1:]]
        one.save_as(path)
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 1
    assert "does not lie on the grid of the series given with --template" in capsys.readouterr().err
    assert names(bench / "outputs") == []


def test_one_template_is_for_one_case(bench, bundle, series, capsys):
    shutil.copy(bench / "inputs/case_0000.nii.gz", bench / "inputs/other_0000.nii.gz")
    assert call(bench, bundle, *BOTH, "--template", str(series)) == 2
    assert "--template: is one series, and there are 2 cases" in capsys.readouterr().err


def test_a_template_without_a_format_is_a_wrong_call(bench, bundle, series, capsys):
    assert call(bench, bundle, "--template", str(series)) == 2
    assert "--template: is for DICOM results; ask for one with --format" in capsys.readouterr().err


def test_packages_that_are_missing_are_named(bench, bundle, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, further_results.WRITING, raising=False)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    for module in [name for name in sys.modules if name.startswith("inference.imaging.dicom_results.seg")]:
        monkeypatch.delitem(sys.modules, module)
    assert call(bench, bundle, *BOTH) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--format dicom-seg needs the package highdicom: pip install -r requirements/dicom.txt" in said


def test_a_plan_refuses_what_the_run_refuses(bench, bundle, capsys):
    """The image is no series, to whose slices an object would refer."""
    said = []
    for options in (["--plan"], []):
        assert call(bench, bundle, "--format", "dicom-seg", *options) == 1
        said.append(capsys.readouterr().err.splitlines())
    planned, run = said
    assert planned == run
    assert "is no DICOM series" in planned[0]
