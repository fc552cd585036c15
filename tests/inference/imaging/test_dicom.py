"""DICOM series: order, choice, kinds of pixels, and files that are not what they say."""

import errno
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import InputError
from inference.imaging.formats import unpack
from inference.imaging.formats.dicom_file import read_dicom_file
from inference.imaging.formats.dicom_walk import DicomWalk
from inference.imaging.formats.file_bytes import MOST_INFLATED, FileBytes
from inference.imaging.reading import open_image, read_volume
from tests.inference.dicom_files import (
    BIG,
    DEFLATED,
    EXPLICIT,
    HTJ2K,
    IMPLICIT,
    JPEG_LOSSLESS,
    PREFIX,
    deflated,
    dicom,
    element,
    enhanced,
    packed_junk,
)
from tests.inference.images import write_series


def straight(count, step=3.0):
    return [(0.0, 0.0, step * i) for i in range(count)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_plain_pixels_by_hand(tmp_path, syntax):
    for i in range(2):
        (tmp_path / f"{i}.dcm").write_bytes(
            dicom(np.array([[0, 1024, 2048]], np.int16) + i, syntax, z=5.0 * i)
        )
    volume = read_volume(tmp_path)
    assert volume.array.tolist() == [[[-1024, 0, 1024]], [[-1023, 1, 1025]]]
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing_zyx_mm == (5.0, 0.8, 0.7)
    assert volume.geometry == open_image(tmp_path).geometry


def test_overlay_bits_are_not_pixels(tmp_path):
    """12 bits of 16: the upper four hold something else, and bit 11 is the sign."""
    (tmp_path / "a.dcm").write_bytes(
        dicom(np.array([[0x1001, 0xF7FF, 0x0FFF]], np.uint16), stored=12, high=11, intercept="0")
    )
    assert read_volume(tmp_path).array.ravel().tolist() == [1, 2047, -1]
    (tmp_path / "a.dcm").write_bytes(
        dicom(np.array([[0x1001, 0xF7FF, 0x0FFF]], np.uint16), stored=12, high=11, intercept="0", signed=0)
    )
    assert read_volume(tmp_path).array.ravel().tolist() == [1, 2047, 4095]


def test_a_fractional_slope_gives_float(tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom(np.array([[2, 3]], np.int16), slope="0.5", intercept="0.25"))
    volume = read_volume(tmp_path)
    assert (volume.array.dtype, volume.array.ravel().tolist()) == (np.float32, [1.25, 1.75])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_slices_are_sorted_by_their_place(tmp_path, order):
    folder = write_series(tmp_path / "s", [(0.0, 0.0, 3.0 * i) for i in order])
    assert read_volume(folder).array[:, 0, 0].tolist() == np.argsort(order).tolist()


def test_a_coronal_stack(tmp_path):
    folder = write_series(
        tmp_path / "s", [(0.0, 3.0 * i, 0.0) for i in range(3)], orientation=(1, 0, 0, 0, 0, -1)
    )
    volume = read_volume(folder)
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
    assert volume.geometry.direction == (1, 0, 0, 0, 0, 1, 0, -1, 0)


@pytest.mark.parametrize(
    ("steps", "seem"),
    [
        ((2, 2, 2, 8, 2, 2), "2.00 to 8.00 mm apart (3 seem to be missing)"),
        ((2, 2, 4, 2, 2, 6), "2.00 to 6.00 mm apart (3 seem to be missing)"),
        ((2, 2, 4.2, 2), "2.00 to 4.20 mm apart (1 seems to be missing)"),
        ((2, 2, 3, 2), "2.00 to 3.00 mm apart (is one missing?)"),
        ((2, 2, 2.4, 2, 2), "2.00 to 2.40 mm apart (is one missing?)"),
        ((2, 2, 1, 2), "1.00 to 2.00 mm apart (is one missing?)"),
    ],
)
def test_gaps_are_told_with_how_many_slices_are_missing_and_doubted(tmp_path, steps, seem):
    zs = np.cumsum((0, *steps))
    volume = read_volume(write_series(tmp_path / "s", [(0.0, 0.0, float(z)) for z in zs]))
    evenly = "they were taken as evenly spaced, which misplaces them; export the whole series again"
    assert volume.doubts == (f"slices are {seem}; {evenly}",)
    assert volume.warnings == volume.doubts
    assert volume.geometry.spacing_zyx_mm[0] == pytest.approx(sum(steps) / len(steps))


def test_slices_that_are_four_percent_off_are_even(tmp_path):
    zs = np.cumsum((0, 2, 2, 2.08, 2, 2))
    assert read_volume(write_series(tmp_path / "s", [(0.0, 0.0, float(z)) for z in zs])).doubts == ()


@pytest.mark.parametrize(("degrees", "doubted"), [(0.4, False), (1.0, True), (-1.0, True)])
def test_a_tilt_of_half_a_degree_is_none(tmp_path, degrees, doubted):
    beside = 3.0 * np.tan(np.deg2rad(degrees))
    volume = read_volume(write_series(tmp_path / "s", [(0.0, beside * i, 3.0 * i) for i in range(4)]))
    assert bool(volume.doubts) == doubted


def test_a_tilted_stack_is_doubted_and_a_straight_one_is_not(tmp_path):
    assert read_volume(write_series(tmp_path / "straight", straight(4))).doubts == ()
    tilted = read_volume(write_series(tmp_path / "tilted", [(0.0, 1.0 * i, 3.0 * i) for i in range(4)]))
    (doubt,) = tilted.doubts
    assert doubt.startswith("slices are shifted against one another (gantry tilted by 18.4°)")
    assert tilted.warnings == tilted.doubts


def test_slices_of_a_tilted_stack_are_as_far_apart_as_their_planes(tmp_path):
    """3 mm, along a line of 5: 4 mm is what each lies beside the one below. Voxels are 2×2×3 mm then."""
    tilted = read_volume(write_series(tmp_path / "s", [(0.0, 4.0 * i, 3.0 * i) for i in range(4)]))
    assert tilted.geometry.spacing_zyx_mm == (3.0, 2.0, 2.0)
    assert tilted.geometry.origin_xyz_mm == (0, 0, 0)


def test_a_file_that_is_there_twice_is_read_once(tmp_path):
    folder = write_series(tmp_path / "s", straight(3))
    alone = read_volume(folder)
    shutil.copy(folder / "1_001.dcm", folder / "1_001 (1).dcm")
    volume = read_volume(folder)
    assert volume.warnings == ("1_001 (1).dcm is a copy of 1_001.dcm and was left out",)
    np.testing.assert_array_equal(volume.array, alone.array)
    assert volume.geometry == alone.geometry
    shutil.copy(folder / "1_001.dcm", folder / "1_001 (2).dcm")
    shutil.copy(folder / "1_002.dcm", folder / "z_copy.dcm")
    assert read_volume(folder).warnings == (
        "3 DICOM files are copies of others and were left out (1_001 (1).dcm, 1_001 (2).dcm and 1 more)",
    )


@pytest.mark.parametrize("zs", [(0, 3, 6), (7,)])
def test_a_file_of_many_frames_that_is_there_twice_is_read_once(tmp_path, zs):
    """It has no name of its own (SOPInstanceUID)."""
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(enhanced(np.zeros((len(zs), 2, 3), np.int16), zs))
    volume = read_volume(tmp_path)
    assert len(volume.array) == len(zs)
    assert volume.warnings == ("b.dcm is a copy of a.dcm and was left out",)


def test_copies_make_no_series_the_longest(tmp_path):
    """Of two series of three, one has a slice twice."""
    folder = write_series(tmp_path / "s", straight(3))
    write_series(folder, straight(3), uid="1.2.3.2", number=2)
    shutil.copy(folder / "1_001.dcm", folder / "1_001 (1).dcm")
    with pytest.raises(InputError, match=r"holds 2 DICOM series \(3, 3 images\), none the longest"):
        read_volume(folder)


def test_an_image_with_two_contents_is_refused_by_name(tmp_path):
    """The voxels of slice 1, of 12 values of 1, are twos in what is called its copy."""
    folder = write_series(tmp_path / "s", straight(3))
    ones, twos = (np.full(12, value, "<i2").tobytes() for value in (1, 2))
    content = (folder / "1_001.dcm").read_bytes()
    assert content.endswith(ones)
    (folder / "1_001 (1).dcm").write_bytes(content.removesuffix(ones) + twos)
    said = (
        r"1_001 \(1\)\.dcm and 1_001\.dcm are the same image \(SOPInstanceUID\) with other contents; remove"
    )
    with pytest.raises(InputError, match=said):
        read_volume(folder)


def test_images_at_one_place_are_named(tmp_path):
    folder = write_series(tmp_path / "s", [*straight(3), (0.0, 0.0, 6.0)])
    said = r"same place \(1_002\.dcm and 1_003\.dcm, for example; several phases\?\); give one phase"
    with pytest.raises(InputError, match=said):
        read_volume(folder)


def test_a_scout_in_the_same_series_is_left_out(tmp_path):
    folder = write_series(tmp_path / "s", straight(3))
    write_series(folder, [(0.0, 0.0, 50.0)], orientation=(1, 0, 0, 0, 0, -1), number=9)
    volume = read_volume(folder)
    assert volume.array.shape == (3, 3, 4)
    assert volume.warnings == (
        "1 of 4 slices (9_000.dcm) lie in another direction than the rest of their series; they were left "
        "out, which SimpleITK stacks with the rest",
    )


def test_files_without_an_image_are_left_out(tmp_path):
    folder = write_series(tmp_path / "s", straight(3))
    (folder / "report.dcm").write_bytes(
        PREFIX + element(0x00020010, "UI", EXPLICIT + "\0") + element(0x00080060, "CS", "SR")
    )
    assert read_volume(folder).warnings == ("1 DICOM file without an image was left out",)


def test_sequences_are_walked_over(tmp_path):
    mark = struct.Struct("<HHI")
    item = (
        mark.pack(0xFFFE, 0xE000, 0xFFFFFFFF) + element(0x00080060, "CS", "CT") + mark.pack(0xFFFE, 0xE00D, 0)
    )
    endless = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + item + mark.pack(0xFFFE, 0xE0DD, 0)
    inside = element(0x00081140, "SQ", mark.pack(0xFFFE, 0xE000, 10) + element(0x00280010, "US", 99))
    for extra in (endless, inside):
        (tmp_path / "a.dcm").write_bytes(dicom(np.zeros((2, 3), np.int16), extra=extra))
        assert [image.rows for image in read_dicom_file(tmp_path / "a.dcm")] == [2]


def test_a_file_that_shrinks_while_it_is_read_is_damaged(tmp_path):
    """Mapped into memory it would end the process by SIGBUS."""
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(np.zeros((2, 3), np.int16), extra=element(0x00091001, "UN", bytes(40_000))))
    with path.open("rb") as file:
        walk = DicomWalk(FileBytes(file))
        os.truncate(path, 200)
        with pytest.raises(struct.error):
            walk.run()


@pytest.mark.parametrize("held", [0, 3, 4, 10])
def test_a_slice_that_shrinks_between_its_header_and_its_pixels_is_truncated(tmp_path, held):
    """Six pixels of two bytes, of which so many bytes are left."""
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(np.zeros((2, 3), np.int16)))
    image = open_image(tmp_path)
    os.truncate(path, path.stat().st_size - 12 + held)
    with pytest.raises(InputError, match=r"a\.dcm: is truncated; copy the series again"):
        image.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"junk" * 200, "is damaged"),
        (dicom(np.zeros((2, 3), np.int16))[:-4], "reaches beyond the file"),
        (dicom(np.zeros((2, 3), np.int16), rows=3), "fewer pixels than its header says"),
        (dicom(np.zeros((2, 3), np.int16), rows=65535), "65535"),
        (dicom(np.zeros((2, 3), np.int16), stored=17), "17 bits"),
        (dicom(np.zeros((2, 3), np.int16), slope="one"), "RescaleSlope is 'one'"),
        (dicom(np.zeros((2, 3), np.int16), slope="nan"), "RescaleSlope"),
        (dicom(np.zeros((2, 9), np.uint8), samples=3, stored=8, high=7), "fewer pixels"),
        (
            dicom(
                np.zeros((2, 3), np.int16), extra=struct.pack("<HH2s2xI", 8, 0x1140, b"SQ", 0xFFFFFFFF) * 40
            ),
            "is damaged",
        ),
    ],
)
def test_damaged_files_are_refused_and_named(tmp_path, content, message):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.dcm: .*; copy the series again") as caught:
        read_volume(tmp_path)
    assert message in str(caught.value)


def test_a_number_that_is_none_is_named_with_its_element(tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom(np.zeros((2, 3), np.int16)).replace(b"0.8\\0.7", b"0,8\\0.7"))
    with pytest.raises(InputError, match=r"a\.dcm: is damaged or no DICOM image \(PixelSpacing is '0,8"):
        read_volume(tmp_path)


def test_one_slice_whose_thickness_is_no_number_is_taken_as_one_that_does_not_say_it(tmp_path):
    content = dicom(np.zeros((2, 3), np.int16), extra=element(0x00180050, "DS", "2,0"))
    (tmp_path / "a.dcm").write_bytes(content)
    volume = read_volume(tmp_path)
    assert volume.geometry.spacing_zyx_mm[0] == 1
    assert volume.warnings == (
        "1 of 1 slices (a.dcm) have a SliceThickness that is no number; nothing was made of it",
        "one slice that does not say how thick it is; 1 mm was taken",
    )


def test_one_slice_is_as_thick_as_slices_are_apart_where_both_are_said(tmp_path):
    both = element(0x00180050, "DS", "5") + element(0x00180088, "DS", "3")
    (tmp_path / "a.dcm").write_bytes(dicom(np.zeros((2, 3), np.int16), extra=both))
    assert read_volume(tmp_path).geometry.spacing_zyx_mm[0] == 3


def test_colour_is_refused(tmp_path):
    columns = struct.Struct("<HH2sHH")
    data = dicom(np.zeros((2, 9), np.uint8), samples=3, stored=8, high=7)
    data = data.replace(columns.pack(0x28, 0x11, b"US", 2, 9), columns.pack(0x28, 0x11, b"US", 2, 3))
    (tmp_path / "a.dcm").write_bytes(data)
    with pytest.raises(InputError, match="holds colour images"):
        read_volume(tmp_path)


def test_images_without_a_place_are_refused(tmp_path):
    for i in range(2):
        data = dicom(np.zeros((2, 3), np.int16)).replace(
            struct.pack("<HH", 0x20, 0x32), struct.pack("<HH", 0x20, 0x31)
        )
        (tmp_path / f"{i}.dcm").write_bytes(data)
    with pytest.raises(InputError, match="does not say where it lies"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_frames_of_an_enhanced_image_are_slices(tmp_path, syntax):
    """Three frames in the order 1, 0, 2 of their places, the last with an intercept of its own."""
    pixels = np.arange(18, dtype=np.int16).reshape(3, 2, 3) + 1024
    (tmp_path / "a.dcm").write_bytes(
        enhanced(pixels, (102.5, 100.0, 105.0), syntax, ["-1024", "-1024", "-1000"])
    )
    volume = read_volume(tmp_path)
    assert (
        volume.array.tolist() == (pixels[[1, 0, 2]] - np.array([1024, 1024, 1000]).reshape(3, 1, 1)).tolist()
    )
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing_zyx_mm == (2.5, 0.8, 0.7)
    assert volume.geometry.origin_xyz_mm == (-10, 20, 100)
    assert volume.warnings == (
        "1 of 3 slices (a.dcm frame 3) are rescaled otherwise than by 1 and -1024 (slope and intercept), "
        "a.dcm by 1 and -1000; each was taken as it says",
    )
    assert volume.geometry == open_image(tmp_path / "a.dcm").geometry


def test_one_frame_says_how_thick_it_is(tmp_path):
    (tmp_path / "a.dcm").write_bytes(enhanced(np.zeros((1, 2, 3), np.int16), (7.0,)))
    geometry = read_volume(tmp_path / "a.dcm").geometry
    assert (geometry.spacing_zyx_mm, geometry.origin_xyz_mm) == ((5.0, 0.8, 0.7), (-10, 20, 7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zs": (0, 0, 3)}, r"several of its images lie at the same place \(a\.dcm, frames 1 and 2, for"),
        ({"zs": (0, 3, 6), "described": 2}, "3 frames, of which 2 are described"),
        ({"zs": (0, 3, 6), "described": 0}, "does not say where it lies"),
        (
            {"zs": (0, 3, 6), "syntax": "1.2.840.10008.1.2.4.70"},
            "holds 3 frames of compressed pixels; convert",
        ),
    ],
)
def test_frames_that_are_no_stack_are_refused(tmp_path, changes, message):
    (tmp_path / "a.dcm").write_bytes(enhanced(np.zeros((3, 2, 3), np.int16), **changes))
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_losslessly_compressed_pixels(tmp_path, compressor):
    packed, plain = (
        write_series(tmp_path / str(c), straight(3), size=(48, 64), compressor=c) for c in (compressor, None)
    )
    assert [image.is_packed for path in sorted(packed.iterdir()) for image in read_dicom_file(path)] == [
        True
    ] * 3
    np.testing.assert_array_equal(read_volume(packed).array, read_volume(plain).array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            dicom(np.zeros((2, 3), np.int16), HTJ2K),
            "not read (1.2.840.10008.1.2.4.201); convert the series to one .nii.gz file",
        ),
        (dicom(np.zeros((2, 3), np.int16), JPEG_LOSSLESS), "compressed pixels that are not in fragments"),
        (packed_junk(), "its pixels cannot be unpacked"),
    ],
)
def test_compressed_pixels_that_cannot_be_unpacked(tmp_path, data, message):
    (tmp_path / "a.dcm").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.dcm: ") as caught:
        read_volume(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "script",
    [
        "import os; os.abort()",
        "import sys; sys.stdin.buffer.read()",
        "print('int16 3072')",
        "print('nonsense')",
        "print('nonsense 3072')",
    ],
)
def test_what_unpacks_may_crash_or_hang(tmp_path, monkeypatch, script):
    """As JPEG decoders do on damaged pixels: the case is refused, and the next one finds a new process."""
    folder = write_series(tmp_path / "s", straight(2), size=(48, 64), compressor="JPEG")
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "COMMAND", (sys.executable, "-c", script))
        patch.setattr(unpack, "PATIENCE_S", 1.0)
        with pytest.raises(
            InputError, match=r"1_000\.dcm: its pixels are so damaged that unpacking them failed; export"
        ):
            read_volume(folder)
    assert read_volume(folder).array.shape == (2, 48, 64)


@pytest.mark.parametrize("is_sound", [True, False])
def test_one_process_unpacks_a_series_and_is_gone_then(tmp_path, monkeypatch, is_sound):
    folder = write_series(tmp_path / "s", straight(3), size=(48, 64), compressor="JPEG")
    if not is_sound:
        (folder / "1_002.dcm").write_bytes((folder / "1_002.dcm").read_bytes().replace(b"\xff\xd8", b"ju"))
    started = []

    def start(*args, popen=subprocess.Popen, **options):
        started.append(popen(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    if is_sound:
        read_volume(folder)
    else:
        with pytest.raises(InputError, match=r"1_002\.dcm: its pixels"):
            read_volume(folder)
    (process,) = started
    assert process.returncode is not None


def test_a_process_that_cannot_be_started_is_no_damage(tmp_path, monkeypatch):
    def start(*args, **options):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    folder = write_series(tmp_path / "s", straight(2), size=(48, 64), compressor="JPEG")
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(
        InputError, match=r"can be started \(Resource temporarily unavailable\); allow more processes"
    ):
        read_volume(folder)


def test_another_number_of_pixels_is_refused(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "s", straight(2), size=(48, 64), compressor="JPEG")
    # It answers once it was asked: one that had ended by then would be taken for one that crashed.
    answer = "import sys; sys.stdin.buffer.read(1); print('int16 99999999999')"
    monkeypatch.setattr(unpack, "COMMAND", (sys.executable, "-c", answer))
    with pytest.raises(InputError, match="holds 99999999999 pixels, its header says 3072"):
        read_volume(folder)


def test_an_error_of_the_unpacker_is_told_without_its_internals(tmp_path):
    with unpack.unpacker() as unpacking, pytest.raises(InputError) as caught:
        unpacking.values(tmp_path / "nowhere.dcm", 12)
    assert "nowhere.dcm: its pixels cannot be unpacked (" in str(caught.value)
    assert "0x" not in str(caught.value)


def test_deflated_slices_are_read_as_plain_ones(tmp_path):
    """As GDCM reads them, too; a class and padding change nothing."""
    image_class = "1.2.840.10008.5.1.4.1.1.2"
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4)
    for name, make in (("plain", dicom), ("deflated", deflated)):
        (tmp_path / name).mkdir()
        for z in range(3):
            padding = b"\0" * (name == "deflated")
            (tmp_path / name / f"{z}.dcm").write_bytes(
                make(pixels + z, z=3.0 * z, sop_class=image_class) + padding
            )
    plain, packed = read_volume(tmp_path / "plain"), read_volume(tmp_path / "deflated")
    np.testing.assert_array_equal(packed.array, plain.array)
    assert packed.geometry == plain.geometry
    assert packed.warnings == plain.warnings
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "deflated" / "1.dcm")))
    np.testing.assert_array_equal(seen[0], packed.array[1])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (deflated(np.zeros((3, 4), np.int16))[:-4], "its deflated part is cut short"),
        (
            deflated(np.zeros((3, 4), np.int16), extra=element(0x00091001, "UN", bytes(MOST_INFLATED))),
            "32 MiB",
        ),
        (dicom(np.zeros((3, 4), np.int16), DEFLATED), "its deflated part is damaged"),
        (deflated(np.zeros((3, 4), np.int16), rows=300), "fewer pixels than its header says"),
    ],
    ids=["cut", "bomb", "junk", "pixels"],
)
def test_deflated_files_that_are_damaged_or_hold_too_much_are_refused(tmp_path, content, why):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.dcm: is damaged or no DICOM image \(.*{why}"):
        open_image(tmp_path / "a.dcm")


def test_deflated_frames_are_refused(tmp_path):
    """They would be inflated once for each."""
    frames = element(0x00280008, "IS", "2")
    (tmp_path / "a.dcm").write_bytes(deflated(np.zeros((6, 4), np.int16), rows=3, extra=frames))
    with pytest.raises(InputError, match="holds 2 frames of compressed pixels; convert the series to one"):
        open_image(tmp_path / "a.dcm")
