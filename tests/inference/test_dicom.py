"""DICOM series: order, choice, kinds of pixels, and files that are not what they say."""

import struct

import numpy as np
import pytest

from inference.errors import InputError
from inference.formats.dicom_file import read_dicom_file
from inference.volume import read_header, read_volume
from tests.inference.images import write_series

PREFIX = bytes(128) + b"DICM"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


def element(tag, kind, value, syntax=EXPLICIT):
    order = ">" if syntax == BIG else "<"
    if kind == "US":
        value = struct.pack(f"{order}H", value)
    elif isinstance(value, str):
        value = value.encode() + b" " * (len(value) % 2)
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", len(value)) + value
    if kind in ("OW", "SQ", "UN"):
        return head + kind.encode() + bytes(2) + struct.pack(f"{order}I", len(value)) + value
    return head + kind.encode() + struct.pack(f"{order}H", len(value)) + value


def dicom(pixels, syntax=EXPLICIT, z=0.0, extra=b"", **changes):
    """A DICOM file of our own making; `pixels` (rows, columns) as stored."""
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    values = {"stored": 16, "high": 15, "signed": 1, "slope": "1", "intercept": "-1024", "samples": 1, "rows": pixels.shape[0]} | changes
    elements = [
        (0x0020000E, "UI", "1.2.3"), (0x00200032, "DS", f"0\\0\\{z}"), (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        (0x00280002, "US", values["samples"]), (0x00280010, "US", values["rows"]), (0x00280011, "US", pixels.shape[1]),
        (0x00280030, "DS", "0.8\\0.7"), (0x00280100, "US", pixels.itemsize * 8), (0x00280101, "US", values["stored"]),
        (0x00280102, "US", values["high"]), (0x00280103, "US", values["signed"]), (0x00281052, "DS", values["intercept"]),
        (0x00281053, "DS", values["slope"]), (0x7FE00010, "OW", stored),
    ]  # fmt: skip
    meta = element(0x00020010, "UI", syntax + "\0" * (len(syntax) % 2))
    return PREFIX + meta + extra + b"".join(element(*e, syntax) for e in elements)


def straight(count, step=3.0):
    return [(0.0, 0.0, step * i) for i in range(count)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_plain_pixels_by_hand(tmp_path, syntax):
    for i in range(2):
        (tmp_path / f"{i}.dcm").write_bytes(dicom(np.array([[0, 1024, 2048]], np.int16) + i, syntax, z=5.0 * i))
    volume = read_volume(tmp_path)
    assert volume.array.tolist() == [[[-1024, 0, 1024]], [[-1023, 1, 1025]]]
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing_zyx_mm == (5.0, 0.8, 0.7)
    assert volume.geometry == read_header(tmp_path).geometry


def test_overlay_bits_are_not_pixels(tmp_path):
    """12 bits of 16: the upper four hold something else, and bit 11 is the sign."""
    (tmp_path / "a.dcm").write_bytes(dicom(np.array([[0x1001, 0xF7FF, 0x0FFF]], np.uint16), stored=12, high=11, intercept="0"))
    assert read_volume(tmp_path).array.ravel().tolist() == [1, 2047, -1]
    (tmp_path / "a.dcm").write_bytes(dicom(np.array([[0x1001, 0xF7FF, 0x0FFF]], np.uint16), stored=12, high=11, intercept="0", signed=0))
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
    folder = write_series(tmp_path / "s", [(0.0, 3.0 * i, 0.0) for i in range(3)], orientation=(1, 0, 0, 0, 0, -1))
    volume = read_volume(folder)
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
    assert volume.geometry.direction == (1, 0, 0, 0, 0, 1, 0, -1, 0)


def test_a_scout_in_the_same_series_is_left_out(tmp_path):
    folder = write_series(tmp_path / "s", straight(3))
    write_series(folder, [(0.0, 0.0, 50.0)], orientation=(1, 0, 0, 0, 0, -1), number=9)
    volume = read_volume(folder)
    assert volume.array.shape == (3, 3, 4)
    assert volume.warnings == ("2 DICOM series in one folder (3, 1 images); the longest was taken",)


def test_files_without_an_image_are_left_out(tmp_path):
    folder = write_series(tmp_path / "s", straight(3))
    (folder / "report.dcm").write_bytes(PREFIX + element(0x00020010, "UI", EXPLICIT + "\0") + element(0x00080060, "CS", "SR"))
    assert read_volume(folder).warnings == ("1 DICOM files without an image were left out",)


def test_sequences_are_walked_over(tmp_path):
    mark = struct.Struct("<HHI")
    item = mark.pack(0xFFFE, 0xE000, 0xFFFFFFFF) + element(0x00080060, "CS", "CT") + mark.pack(0xFFFE, 0xE00D, 0)
    endless = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + item + mark.pack(0xFFFE, 0xE0DD, 0)
    inside = element(0x00081140, "SQ", mark.pack(0xFFFE, 0xE000, 10) + element(0x00280010, "US", 99))
    for extra in (endless, inside):
        (tmp_path / "a.dcm").write_bytes(dicom(np.zeros((2, 3), np.int16), extra=extra))
        assert read_dicom_file(tmp_path / "a.dcm").rows == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"junk" * 200, "is damaged"),
        (dicom(np.zeros((2, 3), np.int16))[:-4], "reaches beyond the file"),
        (dicom(np.zeros((2, 3), np.int16), rows=3), "fewer pixels than its header says"),
        (dicom(np.zeros((2, 3), np.int16), rows=65535), "65535"),
        (dicom(np.zeros((2, 3), np.int16), stored=17), "17 bits"),
        (dicom(np.zeros((2, 3), np.int16), slope="one"), "could not convert"),
        (dicom(np.zeros((2, 3), np.int16), slope="nan"), "RescaleSlope"),
        (dicom(np.zeros((2, 9), np.uint8), samples=3, stored=8, high=7), "fewer pixels"),
        (dicom(np.zeros((2, 3), np.int16), extra=struct.pack("<HH2s2xI", 8, 0x1140, b"SQ", 0xFFFFFFFF) * 40), "is damaged"),
    ],
)
def test_damaged_files_are_refused_and_named(tmp_path, content, message):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.dcm: .*; copy the series again") as caught:
        read_volume(tmp_path)
    assert message in str(caught.value)


def test_colour_is_refused(tmp_path):
    columns = struct.Struct("<HH2sHH")
    data = dicom(np.zeros((2, 9), np.uint8), samples=3, stored=8, high=7)
    data = data.replace(columns.pack(0x28, 0x11, b"US", 2, 9), columns.pack(0x28, 0x11, b"US", 2, 3))
    (tmp_path / "a.dcm").write_bytes(data)
    with pytest.raises(InputError, match="holds colour images"):
        read_volume(tmp_path)


def test_images_without_a_place_are_refused(tmp_path):
    for i in range(2):
        data = dicom(np.zeros((2, 3), np.int16)).replace(struct.pack("<HH", 0x20, 0x32), struct.pack("<HH", 0x20, 0x31))
        (tmp_path / f"{i}.dcm").write_bytes(data)
    with pytest.raises(InputError, match="does not say where it lies"):
        read_volume(tmp_path)
