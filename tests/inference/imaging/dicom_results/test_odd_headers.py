"""Headers that highdicom refuses as they are: what the objects say instead, and what the user is told."""

import shutil
import warnings

import pydicom
import pytest
from pydicom import config

from inference.errors import InputError
from inference.imaging.dicom_results import dicom_file_writing
from inference.imaging.dicom_results.dicom_file_writing import write_objects
from inference.imaging.dicom_results.source_series import read_source
from inference.imaging.formats.dicom import open_series
from model.labels import FLARE23
from tests.inference.imaging.dicom_results.series_files import write_series
from tests.inference.imaging.dicom_results.test_objects import MAKER, SIZE_ZYX, marked


def odd_series(folder, monkeypatch, **elements):
    """A series that says so of each slice; None leaves an element out."""
    write_series(folder, SIZE_ZYX)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
        patch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
        for path in folder.iterdir():
            one = pydicom.dcmread(path)
            for name, value in elements.items():
                if value is None:
                    del one[name]
                else:
                    setattr(one, name, value)
            one.save_as(path)
    return folder


def objects(tmp_path, folder):
    paths = {"dicom-seg": tmp_path / "x.seg.dcm", "rtstruct": tmp_path / "x.rtstruct.dcm"}
    written = write_objects(paths, open_series(folder), marked(), FLARE23, MAKER)
    return [pydicom.dcmread(path) for path in paths.values()], written.warnings


@pytest.mark.parametrize(
    ("element", "said", "stands"),
    [
        ("PatientSex", "m", "M"),
        ("PatientSex", "Female", "F"),
        ("StudyTime", "10:30:00", "103000"),
        ("PatientName", ["Doe^Jane", "Roe^Jane"], "Doe^Jane"),
        ("ReferringPhysicianName", ["A^B", "C^D"], "A^B"),
    ],
)
def test_what_can_be_known_is_rewritten(tmp_path, monkeypatch, element, said, stands):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **{element: said}))
    assert [one[element].value for one in made] == [stands, stands]
    assert told == (f"its slices' {element}: rewritten as programs take it",)


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ("PatientBirthDate", "19503001"),
        ("PatientSex", "unknown"),
        ("PatientSex", ["M", "F"]),
        ("StudyDate", "00000000"),
        ("StudyDate", "a while ago"),
        ("StudyTime", "25:99"),
        ("StudyTime", ["10", "11"]),
    ],
)
def test_what_cannot_be_known_is_left_empty(tmp_path, monkeypatch, element, said):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **{element: said}))
    assert [one[element].value or "" for one in made] == ["", ""]
    assert told == (f"its slices' {element}: left empty, as no program takes it",)


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        ({"PatientSex": "O", "StudyDate": "20240229", "StudyTime": "235959.5"}, {"StudyTime": "235959.5"}),
        ({"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^A"}, {"PatientName": "Müller^A"}),
        ({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "腹部^A"}, {"PatientName": "腹部^A"}),
    ],
)
def test_what_is_sound_is_repeated(tmp_path, monkeypatch, said, stands):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **said))
    assert told == ()
    for one in made:
        assert {name: one[name].value for name in said} == said | stands


@pytest.mark.parametrize(
    "said",
    [
        {"PatientName": "DOE JANE"},  # Of highdicom, a warning with the name.
        {"StudyTime": "25:99", "PatientID": "p" * 65},  # Of pydicom, with the values.
        {"SpecificCharacterSet": "ISO_IR 999"},
    ],
)
def test_libraries_say_nothing_by_themselves(tmp_path, monkeypatch, caplog, recwarn, said):
    """Neither as warnings nor in logs: what they say may name the patient."""
    warnings.simplefilter("always")
    folder = odd_series(tmp_path / "s", monkeypatch, **said)
    caplog.clear()
    made, told = objects(tmp_path, folder)
    assert (caplog.messages, [str(each.message) for each in recwarn]) == ([], [])
    assert not any("DOE" in line or "ppp" in line for line in told)
    assert {str(one.PatientName) for one in made} == {said.get("PatientName", "Doe^Jane")}


def test_letters_of_several_character_sets_are_written_in_utf8(tmp_path, monkeypatch):
    """As Japanese scanners do: the default letters, and Kanji where a name goes on to them."""
    odd = {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎",
        "StudyDescription": "腹部 CT",
    }
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **odd))
    assert told == ("its slices' SpecificCharacterSet: rewritten as programs take it",)
    for one in made:
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert str(one.PatientName) == "Yamada^Tarou=山田^太郎"
    assert made[1].StudyDescription == "腹部 CT"


def test_a_character_set_that_nobody_knows_costs_no_object(tmp_path, monkeypatch):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, SpecificCharacterSet="ISO_IR 999"))
    assert told == ("its slices' SpecificCharacterSet: rewritten as programs take it",)
    assert [str(one.PatientName) for one in made] == ["Doe^Jane", "Doe^Jane"]


@pytest.mark.parametrize("said", [None, ""])
def test_a_thickness_that_is_not_said_is_the_distance_of_the_slices(tmp_path, monkeypatch, said):
    (seg, _), told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, SliceThickness=said))
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, [*measures.PixelSpacing]) == (4, [1.5, 0.75])
    assert told == ("its slices have no SliceThickness: the label map's stands in the objects",)


@pytest.mark.parametrize("error", [IndexError("none"), OverflowError("large"), KeyError("Rows")])
def test_what_no_object_can_be_made_of_is_the_case_s_own_affair(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(dicom_file_writing, "OBJECTS", {"dicom-seg": fail})
    series = open_series(write_series(tmp_path / "s", SIZE_ZYX))
    with pytest.raises(InputError, match=r"001\.dcm: no dicom-seg can refer to it|003\.dcm: no dicom-seg"):
        write_objects({"dicom-seg": tmp_path / "x.seg.dcm"}, series, marked(), FLARE23, MAKER)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("sound", "odd"),
    [
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 192", b"\x08\0\x05\0US\2\0\1\0"),
        (b"\x10\0\x10\0PN\x08\0Doe^Jane", b"\x10\0\x10\0SQ\0\0\0\0\0\0"),
    ],
    ids=["a number for the character set", "items for the name"],
)
def test_an_element_of_another_kind_is_the_case_s_own_affair(tmp_path, monkeypatch, sound, odd):
    """What reads it fails on its type."""
    for path in odd_series(tmp_path / "s", monkeypatch, SpecificCharacterSet="ISO_IR 192").iterdir():
        content = path.read_bytes()
        assert content.count(sound) == 1
        path.write_bytes(content.replace(sound, odd))
    series = open_series(tmp_path / "s")
    paths = {"dicom-seg": tmp_path / "x.seg.dcm", "rtstruct": tmp_path / "x.rtstruct.dcm"}
    with pytest.raises(InputError, match=r"\.dcm: no dicom-seg or rtstruct can refer to it \("):
        write_objects(paths, series, marked(), FLARE23, MAKER)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")


def made_up(folder):
    """What is made up for slices that have no identifiers at all."""
    headers = read_source(open_series(folder)).headers
    return [headers[0][name].value for name in UIDS[:3]] + [header.SOPInstanceUID for header in headers]


def test_identifiers_that_are_made_up_tell_patients_apart(tmp_path):
    """Of slices of the same names at the same places, whose patients alone differ: none in common."""
    ours = write_series(tmp_path / "p1", SIZE_ZYX, leave_out=UIDS)
    shutil.copytree(ours, tmp_path / "p2")
    for path in (tmp_path / "p2").iterdir():
        path.write_bytes(path.read_bytes().replace(b"Doe^Jane", b"Roe^Jane"))
    shutil.copytree(ours, tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        path.rename(path.with_name(f"renamed_{path.name}"))
    uids = made_up(ours)
    assert len(set(uids)) == 6
    assert made_up(tmp_path / "again") == uids
    assert set(made_up(tmp_path / "p2")).isdisjoint(uids)


def test_identifiers_of_slices_do_not_make_one_study_of_two(tmp_path):
    """Slices that an anonymizer has given the same identifiers for every patient, without a study."""
    ours = write_series(tmp_path / "p1", SIZE_ZYX, leave_out=["StudyInstanceUID"])
    shutil.copytree(ours, tmp_path / "p2")
    for path in (tmp_path / "p2").iterdir():
        path.write_bytes(path.read_bytes().replace(b"Doe^Jane", b"Roe^Jane"))
    one, other = (read_source(open_series(folder)).first for folder in (ours, tmp_path / "p2"))
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert one.StudyInstanceUID != other.StudyInstanceUID


def test_a_frame_of_reference_alone_is_told_of_by_itself(tmp_path):
    """An archive finds study and series all the same."""
    folder = write_series(tmp_path / "s", SIZE_ZYX, leave_out=["FrameOfReferenceUID"])
    assert read_source(open_series(folder)).warnings == (
        "its slices have no FrameOfReferenceUID: made up for the objects, which a viewer may then not lay "
        "over them",
    )
