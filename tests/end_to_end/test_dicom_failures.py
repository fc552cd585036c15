"""`predict.py` where DICOM objects cannot be written: neither another case nor a label map is lost."""

from tests.end_to_end.calls import call, names, told, write_case


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
