"""The series that is asked for, of several in one folder."""

import re
from dataclasses import replace

import numpy as np
import pytest

from inference.cohort.cases import Case
from inference.cohort.one_case import open_case
from inference.errors import InputError
from inference.imaging.reading import open_image, read_volume
from tests.inference.dicom_files import HTJ2K, dicom, element
from tests.inference.images import write_nifti, write_series

UID = element(0x0020000E, "UI", "1.2.3")
LISTED = (
    "1.2.7 [300 COR MPR]: 9 CT images of 0.7×0.8 mm, 2 mm apart; "
    "1.2.8 [4 AX ART]: 3 CT images of 0.7×0.8 mm, 5 mm apart; "
    "1.2.9 [4 AX PV]: 3 CT images of 0.7×0.8 mm, 5 mm apart"
)


@pytest.fixture
def folder(tmp_path):
    """Three series whose pixels are 7, 8 and 9: a long reformatted one, and two of one length and number."""
    kinds = (("300", "COR MPR", 9, 2.0), ("4", "AX ART", 3, 5.0), ("4", "AX PV", 3, 5.0))
    for value, (number, description, count, apart_mm) in enumerate(kinds, start=7):
        called = element(0x0008103E, "LO", description) + element(0x00200011, "IS", number)
        for i in range(count):
            pixels = np.full((3, 4), value, np.int16)
            content = dicom(
                pixels, z=apart_mm * i, extra=element(0x00080060, "CS", "CT") + called, intercept="0"
            )
            named = content.replace(UID, element(0x0020000E, "UI", f"1.2.{value}"))
            (tmp_path / f"{value}_{i}.dcm").write_bytes(named)
    return tmp_path


@pytest.mark.parametrize(("asked", "value"), [("1.2.7", 7), ("1.2.8", 8), ("1.2.9", 9), ("300", 7)])
def test_a_series_is_taken_by_its_uid_or_its_number_without_a_word_on_the_others(folder, asked, value):
    volume = read_volume(folder, series=asked)
    assert np.unique(volume.array).tolist() == [value]
    assert volume.warnings == ()


def test_a_case_takes_the_series_that_it_names(folder):
    case = Case(path=folder, output_name="a.nii.gz", modalities=("CT",))
    assert open_case(case).geometry.size_zyx == (9, 3, 4)
    assert open_case(replace(case, series="1.2.9")).geometry.size_zyx == (3, 3, 4)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("1.2.70", "holds no series 1.2.70"),
        ("1.2", "holds no series 1.2"),
        ("4", "holds several series of the number 4"),
    ],
)
def test_what_is_not_there_or_not_one_is_refused_with_all_that_are(folder, asked, why):
    with pytest.raises(InputError) as refused:
        open_image(folder, series=asked)
    assert str(refused.value) == f"{folder}: {why}; name one of these: {LISTED}"


def test_series_that_could_be_meant_alike_are_listed(tmp_path):
    for number in (1, 2):
        write_series(tmp_path, [(0, 0, 0), (0, 0, 3)], uid=f"1.2.{number}", number=number)
    listed = "1.2.1: 2 CT images of 2×2 mm, 3 mm apart; 1.2.2: 2 CT images of 2×2 mm, 3 mm apart"
    with pytest.raises(InputError, match=re.escape(f"of its table): {listed}")):
        read_volume(tmp_path)
    assert len(read_volume(tmp_path, series="1.2.2").array) == 2


def test_an_image_that_is_no_series_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is no DICOM series; leave out the series that is named for it$"):
        read_volume(write_nifti(tmp_path / "a.nii.gz"), series="1.2.3")


def test_what_is_not_read_and_names_no_series_may_be_a_part_of_the_one_that_is_asked_for(folder):
    packed = dicom(np.zeros((3, 4), np.int16), HTJ2K)
    (folder / "a.dcm").write_bytes(packed)
    assert len(read_volume(folder, series="1.2.9").array) == 3
    (folder / "a.dcm").write_bytes(packed.replace(UID, b""))
    with pytest.raises(InputError, match=r"a\.dcm: holds pixels compressed in a way that is not read"):
        read_volume(folder, series="1.2.9")
