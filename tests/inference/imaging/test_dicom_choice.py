"""What is read of a DICOM folder that holds more than the slices of one CT."""

import re

import numpy as np
import pytest

from inference.errors import InputError
from inference.imaging.formats.dicom_classes import is_without_image
from inference.imaging.formats.dicom_folder import MOST_OTHERS, holds_dicom, holds_series, starts_in
from inference.imaging.reading import open_image, read_volume
from tests.inference.dicom_files import (
    DEFLATED,
    DIRECTORY,
    EXPLICIT,
    HTJ2K,
    IMPLICIT,
    JPEG_LOSSLESS,
    RTDOSE,
    SEG,
    dicom,
    element,
    enhanced,
    segmentation,
    start,
    uid,
)
from tests.inference.images import write_series

CT = "1.2.840.10008.5.1.4.1.1.2"
SERIES = element(0x0020000E, "UI", "1.2.3")
LEFT_OUT = "1 DICOM file without an image was left out"


def straight(count):
    return [(0.0, 0.0, 3.0 * i) for i in range(count)]


# What is no image
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("2", False),  # CT
        ("2.1", False),  # enhanced CT
        ("7", False),  # secondary capture
        ("128", False),  # PET
        ("481.1", False),  # RT Image
        ("481.2", True),  # RTDOSE
        ("481.3", True),  # RTSTRUCT
        ("11.1", True),  # presentation state
        ("66", True),  # raw data
        ("66.4", True),  # SEG
        ("88.33", True),  # SR
        ("88.59", True),  # key objects
        ("104.1", True),  # PDF
        ("6640", False),  # of no family that is known
    ],
)
def test_classes_without_an_image(kind, expected):
    assert is_without_image(f"1.2.840.10008.5.1.4.1.1.{kind}") == expected


def test_a_class_that_is_not_said_or_not_known_may_be_an_image():
    assert not is_without_image("")
    assert not is_without_image("1.3.12.66.4")
    assert is_without_image(DIRECTORY)


@pytest.mark.parametrize(
    "other",
    [
        segmentation(),
        segmentation()[:-60],  # Cut short: nothing of it is read.
        start(DEFLATED, SEG) + b"packed",
        # Said in the data alone, as by files without a start.
        dicom(np.zeros((8, 4), np.uint32), extra=uid(0x00080016, RTDOSE), stored=32, high=31),
        start(sop_class=DIRECTORY),
    ],
    ids=["SEG", "truncated SEG", "deflated SEG", "RTDOSE", "DICOMDIR"],
)
def test_what_is_no_image_is_left_out_whatever_its_pixels_are(tmp_path, other):
    folder = write_series(tmp_path / "s", straight(3))
    alone = read_volume(folder)
    (folder / "0.dcm").write_bytes(other)
    volume = read_volume(folder)
    assert volume.warnings == (LEFT_OUT,)
    np.testing.assert_array_equal(volume.array, alone.array)
    assert volume.geometry == alone.geometry


def test_an_object_without_an_image_alone_is_refused(tmp_path):
    (tmp_path / "a.seg.dcm").write_bytes(segmentation())
    for path in (tmp_path, tmp_path / "a.seg.dcm"):
        with pytest.raises(InputError, match="holds no DICOM images; give an image file or a folder with"):
            read_volume(path)


@pytest.mark.parametrize(("expected", "scan"), [("CT", "CT"), ("MR", "MR"), ("PT", "PT"), ("", "scan")])
def test_refusals_ask_for_what_the_bundle_takes(tmp_path, expected, scan):
    (tmp_path / "a.seg.dcm").write_bytes(segmentation())
    with pytest.raises(InputError, match=f"or a folder with the slices of one {scan}$"):
        open_image(tmp_path, expected)
    (tmp_path / "a.dcm").write_bytes(dicom(np.zeros((6, 3), np.uint8), rows=2, samples=3, stored=8, high=7))
    with pytest.raises(InputError, match=f"; give the {scan} itself, not a picture of it"):
        open_image(tmp_path, expected)


def test_one_bit_is_damage_where_nothing_says_that_it_is_no_image(tmp_path):
    (tmp_path / "a.dcm").write_bytes(segmentation(sop_class=CT))
    with pytest.raises(InputError, match="an image of 4 × 2 × 1 pixels of 1 bits"):
        read_volume(tmp_path)


# Several series
# ----------------------------------------------------------------------------------------------------


def put(folder, **counts):
    """A series of so many images for each modality; `unknown` does not say its own."""
    for number, (modality, count) in enumerate(counts.items(), start=1):
        if modality != "unknown":
            options = {"uid": f"1.2.3.{number}", "number": number, "modality": modality.rstrip("_")}
            write_series(folder, straight(count), **options)
        for i in range(count if modality == "unknown" else 0):
            content = dicom(np.zeros((3, 4), np.int16), z=3.0 * i)
            (folder / f"{number}_{i}.dcm").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("expected", "counts", "taken", "told"),
    [
        ("CT", {"PT": 5, "CT": 3}, 3, "2 DICOM series in one folder (5 PT, 3 CT images); the longest CT"),
        ("CT", {"PT": 3, "CT": 3}, 3, "2 DICOM series in one folder (3 CT, 3 PT images); the longest CT"),
        ("CT", {"MR": 5, "CT": 2, "CT_": 3}, 3, "3 DICOM series in one folder (5 MR, 3 CT, 2 CT images)"),
        ("CT", {"CT": 3, "CT_": 2}, 3, "2 DICOM series in one folder (3, 2 images); the longest was taken"),
        ("CT", {"PT": 3, "MR": 2}, 3, "2 DICOM series in one folder (3 PT, 2 MR images); the longest PT"),
        (
            "CT",
            {"PT": 5, "unknown": 2},
            2,
            "2 of unknown modality images); the longest of unknown modality",
        ),
        ("MR", {"MR": 2, "CT": 3}, 2, "2 DICOM series in one folder (3 CT, 2 MR images); the longest MR"),
        ("", {"MR": 2, "CT": 3}, 3, "2 DICOM series in one folder (3 CT, 2 MR images); the longest CT"),
    ],
)
def test_the_longest_series_of_the_modality_that_is_expected(tmp_path, expected, counts, taken, told):
    volume = open_image(put(tmp_path, **counts), expected).read()
    assert len(volume.array) == taken
    (warning,) = volume.warnings
    assert told in warning


@pytest.mark.parametrize(
    ("expected", "counts", "refusal"),
    [
        ("CT", {"CT": 2, "PT": 3, "CT_": 2}, "(3 PT, 2 CT, 2 CT images), none the longest CT; give each a"),
        ("CT", {"CT": 2, "CT_": 2}, "holds 2 DICOM series (2, 2 images), none the longest; give each a"),
        ("", {"CT": 2, "PT": 2}, "(2 CT, 2 PT images), none the longest CT; give each a folder of its own"),
    ],
)
def test_series_that_could_be_meant_alike_are_refused(tmp_path, expected, counts, refusal):
    with pytest.raises(InputError, match=re.escape(refusal)):
        open_image(put(tmp_path, **counts), expected)


ORIGINAL, MPR = "ORIGINAL\\PRIMARY\\AXIAL", "DERIVED\\SECONDARY\\REFORMATTED"
AXIAL, CORONAL = ("3", "AX 2.0 PV"), ("300", "COR MPR")


def put_kinds(folder, *series):
    """Series of each a kind (ImageType), a number of slices, and what they are called: number and text."""
    for number, (kind, count, called) in enumerate(series, start=1):
        extra = element(0x00080008, "CS", kind) * bool(kind)
        extra += element(0x0008103E, "LO", called[1]) + element(0x00200011, "IS", called[0])
        for i in range(count):
            content = dicom(np.full((3, 4), number, np.int16), z=3.0 * i, extra=extra, intercept="0")
            of_series = element(0x0020000E, "UI", f"1.2.{number}")
            (folder / f"{number}_{i}.dcm").write_bytes(content.replace(SERIES, of_series))
    return folder


@pytest.mark.parametrize(
    ("series", "taken", "told"),
    [
        (
            [(ORIGINAL, 8, AXIAL), (MPR, 12, CORONAL)],
            1,
            "(12 [300 COR MPR], 8 [3 AX 2.0 PV] images); the longest original [3 AX 2.0 PV] was taken",
        ),
        (
            [("", 8, AXIAL), ("ORIGINAL\\PRIMARY\\LOCALIZER", 9, ("1", ""))],
            1,
            "(9 [1], 8 [3 AX 2.0 PV] images); the longest original [3 AX 2.0 PV] was taken",
        ),
        (
            [("ORIGINAL\\PRIMARY", 8, ("", "")), (MPR, 8, CORONAL)],
            1,
            "(8, 8 [300 COR MPR] images); the longest original was taken",
        ),
        (
            [(MPR, 12, CORONAL), (ORIGINAL, 7, ("2", "Premonitoring"))],
            1,
            "(12 [300 COR MPR], 7 [2 Premonitoring] images); the longest [300 COR MPR] was taken",
        ),
        (
            [(MPR, 3, CORONAL), ("DERIVED\\PRIMARY", 4, ("4", "a\nb"))],
            2,
            "(4 [4 a\\nb], 3 [300 COR MPR] images); the longest [4 a\\nb] was taken",
        ),
    ],
    ids=["an MPR", "a localizer", "no longer than an original", "few originals", "nothing else"],
)
def test_originals_come_before_what_was_made_of_them(tmp_path, series, taken, told):
    """Pixels of the first series are 1, of the second 2."""
    volume = read_volume(put_kinds(tmp_path, *series))
    assert np.unique(volume.array).tolist() == [taken]
    assert volume.warnings == (f"2 DICOM series in one folder {told}",)


def test_series_that_could_be_meant_alike_are_named(tmp_path):
    put_kinds(tmp_path, (ORIGINAL, 8, AXIAL), (ORIGINAL, 8, ("4", "AX 2.0 ART")))
    with pytest.raises(
        InputError, match=r"\(8 \[3 AX 2\.0 PV\], 8 \[4 AX 2\.0 ART\] images\), none the longest;"
    ):
        read_volume(tmp_path)


# What cannot be read
# ----------------------------------------------------------------------------------------------------

CAPTURE, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.7.3", "1.2.840.10008.5.1.4.1.1.2.1"


def put_packed(folder, frames=5, **said):
    """Three CT slices of the series 1.2.3.1, and beside them a file of compressed frames."""
    write_series(folder, straight(3))
    zs = [3.0 * i for i in range(frames)]
    (folder / "clip.dcm").write_bytes(enhanced(np.zeros((frames, 3, 4), np.int16), zs, JPEG_LOSSLESS, **said))
    return folder


@pytest.mark.parametrize(
    "said",
    [
        {"series": "1.2.3.2", "modality": "US"},
        {"series": "1.2.3.2", "modality": "CT", "frames": 2},
        {"series": "1.2.3.2", "modality": "CT", "sop_class": CAPTURE},
        {"series": "1.2.3.1", "modality": "CT", "sop_class": CAPTURE},
    ],
    ids=["another modality", "a shorter series", "a longer picture", "a picture in the same series"],
)
def test_what_is_not_read_is_left_out_beside_a_ct(tmp_path, said):
    volume = read_volume(put_packed(tmp_path / "s", **said))
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
    assert volume.warnings == (
        f"clip.dcm, of another series or class, holds {said.get('frames', 5)} frames of compressed pixels; "
        "left out",
    )


@pytest.mark.parametrize(
    "said",
    [
        {"series": "1.2.3.1", "modality": "CT", "frames": 2},
        {"series": "", "modality": "US"},
        {"series": "1.2.3.2", "modality": "CT", "sop_class": ENHANCED_CT},
    ],
    ids=["the same series", "of any series", "the longest CT"],
)
def test_what_may_be_the_scan_or_a_part_of_it_is_refused_where_it_is_not_read(tmp_path, said):
    folder = put_packed(tmp_path / "s", **said)
    refusal = rf"clip\.dcm: holds {said.get('frames', 5)} frames of compressed pixels; convert the series to"
    with pytest.raises(InputError, match=refusal):
        read_volume(folder)


def test_a_slice_of_the_series_that_is_not_read_is_missed(tmp_path):
    """Of four slices of one series the last is compressed in a way that is not read."""
    for i in range(4):
        (tmp_path / f"{i}.dcm").write_bytes(
            dicom(np.zeros((2, 3), np.int16), [EXPLICIT, HTJ2K][i == 3], 3.0 * i)
        )
    with pytest.raises(InputError, match=r"3\.dcm: holds pixels compressed in a way that is not read"):
        read_volume(tmp_path)


# Several patients
# ----------------------------------------------------------------------------------------------------


def put_slices(folder, *said, series="1.2.3"):
    """Slices `0.dcm`, `1.dcm`, …, 3 mm apart, of each a patient and a study; what is empty is not said."""
    folder.mkdir(exist_ok=True)
    for i, (patient, study) in enumerate(said):
        extra = element(0x00100020, "LO", patient) * bool(patient)
        extra += uid(0x0020000D, study) * bool(study)
        content = dicom(np.zeros((3, 4), np.int16), z=3.0 * i, extra=extra)
        of_series = element(0x0020000E, "UI", series) * bool(series)
        (folder / f"{i}.dcm").write_bytes(content.replace(SERIES, of_series))
    return folder


@pytest.mark.parametrize("series", ["1.2.3", ""])
@pytest.mark.parametrize(
    ("said", "whose"),
    [
        ([("p1", ""), ("p1", ""), ("p2", "")], "2 patients as one series (0.dcm, 2.dcm, for example)"),
        (
            [("p1", "1.5"), ("p1", "1.6"), ("p1", "1.6")],
            "2 studies as one series (0.dcm, 1.dcm, for example)",
        ),
        ([("", "1.5"), ("p1", "1.5"), ("p2", "1.6")], "2 patients as one series (1.dcm, 2.dcm, for example)"),
        ([("p1", ""), ("p2", ""), ("p3", "")], "3 patients as one series (0.dcm, 1.dcm and 1 more, for"),
    ],
)
def test_slices_of_several_patients_are_no_scan(tmp_path, series, said, whose):
    put_slices(tmp_path, *said, series=series)
    with pytest.raises(InputError) as refused:
        read_volume(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: holds slices of {whose}")
    element = "PatientID" if "patients" in whose else "StudyInstanceUID"
    assert str(refused.value).endswith(
        f"; give each a folder of its own, or, if they are one scan, the same {element}"
    )
    assert "p1" not in str(refused.value).removeprefix(str(tmp_path))


def test_files_of_one_name_are_named_with_their_folders(tmp_path):
    """As archives have them, one folder down: `A/0.dcm` and `B/0.dcm`."""
    put_slices(tmp_path / "A", ("p1", "1.5"))
    put_slices(tmp_path / "B", ("p2", "1.5"), ("p2", "1.5"))
    (tmp_path / "B" / "1.dcm").replace(tmp_path / "B" / "0.dcm")
    with pytest.raises(InputError, match=r"one series \(A/0\.dcm, B/0\.dcm, for example\)"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    "said", [[("p1", "1.5"), ("", ""), ("p1", "1.5")], [("p1", ""), ("p1 ", "")], [("", ""), ("", "")]]
)
def test_slices_that_do_not_say_otherwise_are_of_one_patient(tmp_path, said):
    assert len(read_volume(put_slices(tmp_path, *said)).array) == len(said)


def test_whole_series_of_several_patients_are_chosen_from(tmp_path):
    put_slices(tmp_path / "a", *[("p1", "1.5")] * 3)
    put_slices(tmp_path / "b", *[("p2", "1.6")] * 2, series="1.2.4")
    volume = read_volume(tmp_path)
    assert len(volume.array) == 3
    assert volume.warnings == ("2 DICOM series in one folder (3, 2 images); the longest was taken",)


# Folders
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DICOMDIR", "a.dcm"])
def test_folders_are_looked_into_where_the_files_beside_them_hold_no_image(tmp_path, name):
    write_series(tmp_path / "IMAGES", straight(3))
    (tmp_path / name).write_bytes(start(sop_class=DIRECTORY if name == "DICOMDIR" else SEG))
    volume = read_volume(tmp_path)
    assert volume.array.shape == (3, 3, 4)
    assert volume.warnings == (LEFT_OUT,)


def test_folders_are_not_looked_into_where_an_image_lies_beside_them(tmp_path):
    write_series(tmp_path, straight(2))
    write_series(tmp_path / "more", straight(3), uid="1.2.3.2")
    assert read_volume(tmp_path).array.shape == (2, 3, 4)
    assert read_volume(tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a", start(sop_class=CT), True),
        ("a", start(sop_class=SEG), False),
        ("DICOMDIR", start(sop_class=DIRECTORY), False),
        ("a.dcm", start(IMPLICIT), True),
        ("a", start(), True),
        ("a.dcm", b"x", True),
        ("a", b"x", False),
        # The class stands where it stands in files with a start, but this is none.
        ("a", uid(0x00020002, CT), False),
    ],
)
def test_the_start_of_a_file_says_whether_it_may_hold_an_image(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert holds_series([name], starts_in(tmp_path), images_only=True) == expected
    assert not holds_series(["nowhere"], starts_in(tmp_path), images_only=True)


@pytest.mark.parametrize("beside", ["VIEWER{}.EXE", "v{}.dll", "note{}.txt", "{}"])
def test_slices_are_found_among_a_few_files_of_any_name(beside):
    """Those first that are called as slices are, however many others there are."""
    others = [beside.format(number) for number in range(MOST_OTHERS - 1)]
    for name in ("zz", "1.2.840.1", "zz.ima"):
        starts = {**dict.fromkeys(others, b"x"), name: start(sop_class=CT)}
        assert holds_series(starts, starts.__getitem__, images_only=True)


@pytest.mark.parametrize(
    ("name", "found"), [("1.2.840.1", True), ("zz", True), ("z.dcm", True), ("z.z", False)]
)
def test_after_many_other_files_it_is_not_looked_for_slices_any_more(name, found):
    """The likely ones were looked at before. Notes are not opened at all."""
    others = [f"{number}.bin" for number in range(MOST_OTHERS)]
    notes = [f"{number}.json" for number in range(1000)]
    opened = []

    def start_of(each):
        opened.append(each)
        return start(sop_class=CT) if each == name else b""

    assert holds_series([*notes, *others, name], start_of, images_only=True) == found
    assert len(opened) == (1 if found else MOST_OTHERS)


def test_files_without_an_image_are_no_reason_to_look_no_further():
    """As hundreds of presentation states beside a CT."""
    starts = {f"{number:03}": start(sop_class=SEG) for number in range(3 * MOST_OTHERS)}
    assert not holds_series(starts, starts.__getitem__, images_only=True)
    starts["zz"] = start(sop_class=CT)
    assert holds_series(starts, starts.__getitem__, images_only=True)


def test_a_folder_with_a_directory_alone_holds_dicom(tmp_path):
    """It may hold more one level down, and is refused by name if it does not."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))
    assert holds_dicom(tmp_path)
    assert holds_dicom(tmp_path / "a")
