"""Series whose slices disagree: what is read, what the user is told, and what SimpleITK reads without a word.

Each series has six slices of 2×3 pixels, 2 mm apart; slice i holds 10·i to 10·i + 5 HU. Slice 2 is damaged
unless said otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

from inference.errors import InputError
from inference.imaging.reading import read_volume

SOUND = [0, 10, 20, 30, 40, 50]
RESCALED = "1 of 6 slices (2.dcm) are rescaled otherwise than by 1 and -1024 (slope and intercept), 2.dcm by "


def store(image, pixels, kind="<i2", **elements):
    image.PixelData = np.asarray(pixels, kind).tobytes()
    for name, value in elements.items():
        setattr(image, name, value)


def sound():
    images = []
    for i in range(6):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"1.2.3.4.{i + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.1"
        image.FrameOfReferenceUID = "1.2.3.9"
        image.Modality, image.InstanceNumber = "CT", i + 1
        image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 2 * i], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness = [0.8, 0.7], 2
        image.Rows, image.Columns = 2, 3
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        store(image, 1024 + 10 * i + np.arange(6))
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        images.append(image)
    return images


def write(folder, images):
    for i, image in enumerate(images):
        image.save_as(folder / f"{i}.dcm", enforce_file_format=True)


def by_simpleitk(folder):
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk.ReadImage(names)


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What is done to a series, and what becomes of it; the first pixel of each slice stands for all."""

    done: Callable[[list[Dataset]], object]
    told: str
    read: list[float]
    by_simpleitk: list[float]


def damage(done, told, read, by_simpleitk=None):
    return Damage(
        done=done, told=told, read=read, by_simpleitk=read if by_simpleitk is None else by_simpleitk
    )


def rescale(at, slope, intercept):
    def done(images):
        images[at].RescaleSlope, images[at].RescaleIntercept = slope, intercept

    return done


def without_rescale(images):
    del images[2].RescaleSlope, images[2].RescaleIntercept


def all_slopes_zero(images):
    for image in images:
        image.RescaleSlope = 0


def set_in(at, **elements):
    def done(images):
        for name, value in elements.items():
            setattr(images[at], name, value)

    return done


def first_unsigned_byte(images):
    for image in images:
        image.RescaleIntercept = 0
    store(images[0], range(6), "u1", BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)


def unsigned(images):
    store(images[2], 1024 + np.arange(6), "<u2", PixelRepresentation=0)


def twelve_high_bits(images):
    for image in images:
        store(image, np.arange(1, 7) << 4, "<u2", BitsStored=12, PixelRepresentation=0, RescaleIntercept=0)


def turned_by(degrees):
    c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    return [c, s, 0, -s, c, 0]


def turn(degrees):
    return set_in(2, ImageOrientationPatient=turned_by(degrees))


def shuffle(images):
    for image, number in zip(images, (3, 1, 6, 2, 5, 4), strict=True):
        image.InstanceNumber = number


DAMAGES = {
    "slope": damage(
        rescale(2, 2, -1024),
        f"{RESCALED}2 and -1024; each was taken as it says",
        [0, 10, 2 * 1044 - 1024, 30, 40, 50],
    ),
    "fractional slope": damage(
        rescale(2, 0.5, -500.25),
        f"{RESCALED}0.5 and -500.25; each was taken as it says, where SimpleITK cuts values to whole numbers",
        [0, 10, 1044 / 2 - 500.25, 30, 40, 50],
        [0, 10, 21, 30, 40, 50],
    ),
    "no rescale": damage(
        without_rescale, f"{RESCALED}1 and 0; each was taken as it says", [0, 10, 1044, 30, 40, 50]
    ),
    "slope 0": damage(
        all_slopes_zero,
        "6 of 6 slices (0.dcm, 1.dcm and 4 more) have a rescale slope of 0; 1 was taken, as SimpleITK does",
        SOUND,
    ),
    "slope 0 in one": damage(
        set_in(2, RescaleSlope=0),
        "1 of 6 slices (2.dcm) have a rescale slope of 0; 1 was taken, as SimpleITK does",
        SOUND,
    ),
    "unsigned pixels": damage(
        unsigned,
        "1 of 6 slices (2.dcm) store pixels as uint16, not as int16; each was taken as it says",
        [0, 10, 0, 30, 40, 50],
    ),
    "bytes first": damage(
        first_unsigned_byte,
        "1 of 6 slices (0.dcm) store pixels as uint8, not as int16; each was taken as it says, where "
        "SimpleITK lets values overflow that do not fit uint8",
        [0, 1034, 1044, 1054, 1064, 1074],
        [0, 1034 - 4 * 256, 1044 - 4 * 256, 1054 - 4 * 256, 1064 - 4 * 256, 1074 - 4 * 256],
    ),
    "bits that do not begin with the lowest": damage(
        twelve_high_bits,
        "6 of 6 slices (0.dcm, 1.dcm and 4 more) have 12 bits a pixel that end at bit 15; they were shifted "
        "to bit 11, which SimpleITK does not do",
        [1] * 6,
        [16] * 6,
    ),
    "shown inverted": damage(
        set_in(2, PhotometricInterpretation="MONOCHROME1"),
        "1 of 6 slices (2.dcm) are to be shown inverted (MONOCHROME1), which says nothing of HU; values were "
        "taken as they are, which SimpleITK inverts",
        SOUND,
        [0, 10, -1 - 1044 - 1024, 30, 40, 50],
    ),
    "pixels of another size": damage(
        set_in(2, PixelSpacing=[0.9, 0.7]),
        "1 of 6 slices (2.dcm) have pixels of 0.9×0.7 mm; 0.8×0.7 mm was taken, as most say",
        SOUND,
    ),
    "turned a little": damage(
        turn(0.2),
        "1 of 6 slices (2.dcm) are turned against the first by up to 0.2°; all were taken as parallel to it",
        SOUND,
    ),
    "numbers": damage(
        shuffle,
        "2 of 6 slices (2.dcm, 4.dcm) have a number (InstanceNumber) that is not in the order of their "
        "places; their places were gone by",
        SOUND,
    ),
    "modality": damage(
        set_in(2, Modality="MR"),
        "1 of 6 slices (2.dcm) have the modality MR; all were taken as CT",
        SOUND,
    ),
    "frame of reference": damage(
        set_in(2, FrameOfReferenceUID="1.2.3.8"),
        "1 of 6 slices (2.dcm) lie in another frame of reference; all were taken as of one",
        SOUND,
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_disagrees_is_told_and_read_as_it_says(tmp_path, name):
    wrong, images = DAMAGES[name], sound()
    wrong.done(images)
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.warnings == (wrong.told,)
    assert volume.array[:, 0, 0].tolist() == wrong.read
    assert sitk.GetArrayFromImage(by_simpleitk(tmp_path))[:, 0, 0].tolist() == wrong.by_simpleitk
    assert volume.geometry.spacing_zyx_mm == (2.0, 0.8, 0.7)


def test_a_sound_series_is_read_without_a_word(tmp_path):
    write(tmp_path, sound())
    volume = read_volume(tmp_path)
    assert volume.warnings == ()
    assert volume.array[:, 0, 0].tolist() == SOUND
    assert sitk.GetArrayFromImage(by_simpleitk(tmp_path)).tolist() == volume.array.tolist()


def falling_numbers(images):
    for i, image in enumerate(images):
        image.InstanceNumber = 6 - i


def same_numbers(images):
    for image in images:
        image.InstanceNumber = 1


@pytest.mark.parametrize(
    "done",
    [
        falling_numbers,
        same_numbers,
        turn(0.05),
        set_in(2, PixelSpacing=[0.8000001, 0.7]),
        set_in(2, BitsStored=12, HighBit=11),
        set_in(2, InstanceNumber=None),
    ],
)
def test_what_scanners_do_is_no_damage(tmp_path, done):
    images = sound()
    done(images)
    write(tmp_path, images)
    assert read_volume(tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("size", "told"),
    [([0.9, 0.7], "have pixels of 0.9×0.7 mm"), (None, "do not say how large their pixels are")],
)
def test_where_the_first_slice_is_the_odd_one_most_slices_count(tmp_path, size, told):
    images = sound()
    images[0].PixelSpacing = size
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.geometry.spacing_zyx_mm == (2.0, 0.8, 0.7)
    assert volume.warnings == (
        f"1 of 6 slices (0.dcm) {told}; 0.8×0.7 mm was taken, as most say, where SimpleITK goes by the first "
        "slice",
    )
    assert by_simpleitk(tmp_path).GetSpacing() == pytest.approx((*(size or [1, 1])[::-1], 2.0))


def test_most_slices_say_what_made_the_series(tmp_path):
    images = sound()
    images[0].Modality = "MR"
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.modalities == ("CT",)
    assert volume.warnings == ("1 of 6 slices (0.dcm) have the modality MR; all were taken as CT",)


def test_slices_of_the_series_that_lie_otherwise_are_left_out_and_told(tmp_path):
    images = sound()
    images[5].ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == SOUND[:5]
    assert volume.warnings[0] == (
        "1 of 6 slices (5.dcm) lie in another direction than the rest of their series; they were left out, "
        "which SimpleITK stacks with the rest"
    )
    assert sitk.GetArrayFromImage(by_simpleitk(tmp_path))[:, 0, 0].tolist() == SOUND


@pytest.mark.parametrize("moved", [1e-6, 1e-3])
def test_directions_that_differ_in_their_last_digits_are_of_one_stack(tmp_path, moved):
    """0.125 lies half-way between two numbers of two digits: every third slice would round to the other."""
    images = sound()
    for i, image in enumerate(images):
        sine = 0.125 + (-moved, moved, moved)[i % 3]
        cosine = float(np.sqrt(1 - sine**2))
        image.ImageOrientationPatient = [cosine, sine, 0, -sine, cosine, 0]
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == SOUND
    assert volume.geometry.spacing_zyx_mm == (2.0, 0.8, 0.7)


@pytest.mark.parametrize(("degrees", "slices"), [(0.4, 6), (0.6, 5), (90.0, 5)])
def test_half_a_degree_makes_another_stack(tmp_path, degrees, slices):
    images = sound()
    images[5].ImageOrientationPatient = turned_by(degrees)
    write(tmp_path, images)
    assert read_volume(tmp_path).array.shape == (slices, 2, 3)


def test_slices_of_the_series_of_another_size_are_left_out_and_told(tmp_path):
    images = sound()
    store(images[5], [0, 0, 0], Rows=1)
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.array.shape == (5, 2, 3)
    assert volume.warnings[0] == (
        "1 of 6 slices (5.dcm) have 3×1 pixels, the rest of their series 3×2; they were left out"
    )


def test_images_of_the_series_and_of_another_are_told_apart(tmp_path):
    images = sound()
    images[4].SeriesInstanceUID = "1.2.3.2"
    images[5].ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == SOUND[:4]
    assert volume.warnings == (
        "2 DICOM series in one folder (4, 1 images); the longest was taken",
        "1 of 5 slices (5.dcm) lie in another direction than the rest of their series; they were left out, "
        "which SimpleITK stacks with the rest",
    )


def test_several_damages_are_all_told_and_name_the_slices(tmp_path):
    images = sound()
    for image in images[1:3]:
        image.RescaleIntercept = 0
    images[4].Modality = "PT"
    write(tmp_path, images)
    assert read_volume(tmp_path).warnings == (
        "2 of 6 slices (1.dcm, 2.dcm) are rescaled otherwise than by 1 and -1024 (slope and intercept), "
        "1.dcm by 1 and 0; each was taken as it says",
        "1 of 6 slices (4.dcm) have the modality PT; all were taken as CT",
    )


def test_a_name_that_a_terminal_would_obey_is_told_harmlessly(tmp_path):
    images = sound()
    images[2].Modality = "MR"
    write(tmp_path, images)
    (tmp_path / "2.dcm").rename(tmp_path / "2\x1b[2J.dcm")
    (told,) = read_volume(tmp_path).warnings
    assert told.isprintable()


def test_a_slice_without_bits_is_read_though_simpleitk_leaves_it_out(tmp_path):
    images = sound()
    images[2]["PixelData"].VR = "OW"  # Which pydicom takes from the bits else.
    del images[2].BitsAllocated
    write(tmp_path, images)
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == SOUND
    assert volume.warnings == (
        "1 of 6 slices (2.dcm) do not say how many bits a pixel takes (BitsAllocated); 16 was taken, where "
        "SimpleITK leaves them out",
    )
    assert sitk.GetArrayFromImage(by_simpleitk(tmp_path))[:, 0, 0].tolist() == [0, 10, 30, 40, 50]


def test_a_palette_s_numbers_are_no_hu(tmp_path):
    images = sound()
    images[2].PhotometricInterpretation = "PALETTE COLOR"
    write(tmp_path, images)
    assert read_volume(tmp_path).array[:, 0, 0].tolist() == [0, 10, 30, 40, 50]
    for i in (0, 1, 3, 4, 5):
        (tmp_path / f"{i}.dcm").unlink()
    with pytest.raises(InputError, match="holds colour images"):
        read_volume(tmp_path)


def test_packed_pixels_that_are_shown_inverted_are_refused(tmp_path):
    """Unpacked by GDCM through ITK they would come out inverted."""
    images = sound()
    images[2].PhotometricInterpretation = "MONOCHROME1"
    for image in images:
        image.compress(RLELossless)
    write(tmp_path, images)
    with pytest.raises(InputError, match=r"2\.dcm: .*shown inverted .*; export the series again without"):
        read_volume(tmp_path)
