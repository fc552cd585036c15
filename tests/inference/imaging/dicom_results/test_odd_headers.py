"""Headers that highdicom refuses as they are: what the objects say instead, and what the user is told."""

import shutil
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pydicom
import pytest
from highdicom.base import get_module_attribute_map
from pydicom import DataElement, config
from pydicom.datadict import dictionary_VR

from inference.errors import InputError
from inference.imaging.dicom_results import dicom_file_writing
from inference.imaging.dicom_results.dicom_file_writing import write_objects
from inference.imaging.dicom_results.maker import Told
from inference.imaging.dicom_results.repeated_elements import OFTEN_LACKING, OPTIONAL
from inference.imaging.dicom_results.source_series import read_source
from inference.imaging.formats.dicom import open_series
from model.labels import FLARE23, LabelSet
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
                elif dictionary_VR(name) == "DS":  # Of which pydicom itself writes numbers alone.
                    one[name] = DataElement(name, "DS", value, already_converted=True)
                else:
                    setattr(one, name, value)
            one.save_as(path)
    return folder


def objects(tmp_path, folder, maker=MAKER, label_set=FLARE23):
    paths = {"dicom-seg": tmp_path / "x.seg.dcm", "rtstruct": tmp_path / "x.rtstruct.dcm"}
    written = write_objects(paths, open_series(folder), marked(), label_set, maker)
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


def test_an_empty_character_set_is_none(tmp_path, monkeypatch):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, SpecificCharacterSet=""))
    assert told == ()
    for one in made:
        assert "SpecificCharacterSet" not in one
        assert str(one.PatientName) == "Doe^Jane"


@pytest.mark.parametrize(
    "own",
    [
        {"maker": replace(MAKER, bundle="腹部")},
        {"maker": replace(MAKER, told=Told(doubts=("no 肝",)))},
        {"label_set": LabelSet(name="own", ids={"肝": 1, "b": 13, "c": 14})},
    ],
    ids=["bundle", "doubt", "structure"],
)
def test_own_texts_beyond_the_series_letters_are_written_in_utf8(tmp_path, monkeypatch, own):
    """And what is repeated of the series with them, from Latin letters: of Müller no letter changes."""
    said = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^A", "PatientComments": "für A"}
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **said), **own)
    assert told == ()
    for one in made:
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert (str(one.PatientName), one.PatientComments) == ("Müller^A", "für A")
    seg, rtstruct = made
    assert seg.ManufacturerModelName == rtstruct.ManufacturerModelName == own.get("maker", MAKER).bundle
    assert seg.SegmentSequence[0].SegmentLabel == ("肝" if "label_set" in own else "liver")
    assert rtstruct.StructureSetDescription.endswith("no 肝" if own.get("maker", MAKER).told.doubts else ".")


def test_own_texts_that_fit_leave_the_character_set(tmp_path, monkeypatch):
    said = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^A"}
    made, _ = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **said))
    assert [one.SpecificCharacterSet for one in made] == ["ISO_IR 100", "ISO_IR 100"]


OF_THE_PATIENT = {
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "by hand",
    "PatientAge": "065Y",
    "PatientWeight": "79.5",
    "ClinicalTrialSponsorName": "Sponsor",
    "ClinicalTrialSubjectID": "S1",
    "ClinicalTrialTimePointID": "T1",
    "LongitudinalTemporalInformationModified": "MODIFIED",
    "TypeOfPatientID": "TEXT",
    "PatientComments": "none",
    "AdmissionID": "A1",
}


def test_both_objects_repeat_all_of_patient_study_and_trial(tmp_path, monkeypatch):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **OF_THE_PATIENT))
    assert told == ()
    for one in made:
        assert {name: str(one[name].value) for name in OF_THE_PATIENT} == OF_THE_PATIENT


def test_what_highdicom_repeats_is_all_that_is_repeated():
    repeated = {
        attribute["keyword"]
        for module in (
            "patient",
            "clinical-trial-subject",
            "general-study",
            "patient-study",
            "clinical-trial-study",
        )
        for attribute in get_module_attribute_map()[module]
        if not attribute["path"]
    }
    assert {*OFTEN_LACKING, *OPTIONAL, "StudyInstanceUID"} == repeated


@pytest.mark.parametrize(("element", "said"), [("PatientWeight", "79,5"), ("PatientAge", "65")])
def test_what_no_program_takes_and_none_needs_is_left_out(tmp_path, monkeypatch, element, said):
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **{element: said}))
    assert [element in one for one in made] == [False, False]
    assert told == (f"its slices' {element}: left out, as no program takes it",)


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ("StudyInstanceUID", "1.2.03.4"),
        ("PatientID", ["A", "B"]),
        ("AccessionNumber", "9" * 17),
    ],
)
def test_identifiers_that_are_not_as_they_should_be_are_repeated_and_said(
    tmp_path, monkeypatch, element, said
):
    """A leading zero; two values; 17 characters, where 16 have room."""
    made, told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, **{element: said}))
    assert [one[element].value for one in made] == [said, said]
    (sentence,) = told
    assert sentence == (
        f"its slices' {element}: not as the standard has it, and repeated as it is; an archive may refuse "
        "the objects"
    )


DATED = ("InstanceCreation", "Series")


def when(one, what):
    return datetime.strptime(one[f"{what}Date"].value + one[f"{what}Time"].value, "%Y%m%d%H%M%S")


@pytest.mark.parametrize(("offset", "hours"), [("+1400", 14), ("-0330", -3.5), ("+0000", 0)])
def test_objects_are_dated_in_the_zone_that_the_series_states(tmp_path, monkeypatch, offset, hours):
    folder = odd_series(tmp_path / "s", monkeypatch, TimezoneOffsetFromUTC=offset)
    before = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    made, _ = objects(tmp_path, folder)
    after = datetime.now(UTC).replace(tzinfo=None)
    for one, what in zip(made, ("Content", "StructureSet"), strict=True):
        assert one.TimezoneOffsetFromUTC == offset
        for each in (*DATED, what):
            assert before <= when(one, each) - timedelta(hours=hours) <= after


@pytest.mark.parametrize("said", [None, "", "CET", "+2500"])
def test_objects_state_no_zone_where_the_series_states_none(tmp_path, monkeypatch, said):
    folder = write_series(tmp_path / "s", SIZE_ZYX)
    if said is not None:
        folder = odd_series(tmp_path / "t", monkeypatch, TimezoneOffsetFromUTC=said)
    before = datetime.now().replace(microsecond=0)
    made, _ = objects(tmp_path, folder)
    for one in made:
        assert not one.get("TimezoneOffsetFromUTC")
        assert before <= when(one, "Series") <= datetime.now()


@pytest.mark.parametrize("said", [None, "", "2,0"])
def test_a_thickness_that_is_not_said_is_the_distance_of_the_slices(tmp_path, monkeypatch, said):
    (seg, _), told = objects(tmp_path, odd_series(tmp_path / "s", monkeypatch, SliceThickness=said))
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, [*measures.PixelSpacing]) == (4, [1.5, 0.75])
    assert told == ("its slices have no usable SliceThickness: the label map's stands in the objects",)


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
