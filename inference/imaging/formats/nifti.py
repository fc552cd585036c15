"""NIfTI-1 and NIfTI-2 files, `.nii` and `.nii.gz`."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from inference.errors import InputError
from inference.imaging.formats.image_file import MOST_VOXELS, ImageFile
from inference.imaging.formats.nifti_grid import has_usable_spacing, read_grid
from inference.imaging.formats.nifti_header import HEADER_BYTES, HEADER_BYTES_2, header_layout
from inference.imaging.formats.packed_streams import ByteStream, Compression, DamagedStreamError
from inference.imaging.formats.voxels import StoredVoxels
from model.arrays import Zyx

Order = Literal["<", ">"]
EXTENSION_FLAG_BYTES = 4
"""Between the header and the first voxel, at least."""
_NUMBERS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = {128, 2304}


def read_nifti(path: Path) -> ImageFile:
    """Read the header of a `.nii` or `.nii.gz` file.

    Raises:
        InputError: not NIfTI, not one 3D image of plain numbers, or a header without a usable grid.
        OSError: the file cannot be read.
    """
    raw, compression = _raw_header(path)
    header = _fields(path, raw)
    size = _size(path, header)
    slope, intercept = _scaling(path, header)
    offset = float(header["vox_offset"])
    if not 0 <= offset <= 1 << 30:
        raise InputError(f"{path}: its header is damaged (voxels at byte {offset:g}); export it again")
    stored = StoredVoxels(
        path=path,
        size_zyx=size,
        dtype=_number_type(path, header),
        compression=compression,
        skip=max(int(offset), len(raw) + EXTENSION_FLAG_BYTES),
        slope=slope,
        intercept=intercept,
    )
    geometry, warnings = read_grid(path, header, size)
    if len(raw) == HEADER_BYTES and has_usable_spacing(header):
        geometry = replace(geometry, nifti_header=raw)
    return ImageFile(geometry=geometry, stored=stored, warnings=warnings)


def _raw_header(path: Path) -> tuple[bytes, Compression]:
    with path.open("rb") as file:
        compression: Compression = "gzip" if file.read(2) == b"\x1f\x8b" else "none"
        file.seek(0)
        stream = ByteStream(file, path, compression)
        try:
            raw = stream.read(HEADER_BYTES)
            if _header_bytes(raw, "<") == HEADER_BYTES_2 or _header_bytes(raw, ">") == HEADER_BYTES_2:
                raw += stream.read(HEADER_BYTES_2 - HEADER_BYTES)
            return raw, compression
        except DamagedStreamError:
            raise
        except InputError as error:
            held = path.stat().st_size
            what = "is empty (0 bytes)" if not held else f"holds no whole NIfTI header ({held:,} bytes)"
            raise InputError(f"{path}: {what}; copy or export it again") from error


def _fields(path: Path, raw: bytes) -> np.void:
    orders: tuple[Order, ...] = ("<", ">")
    for order in orders:
        if _header_bytes(raw, order) != len(raw):
            continue
        version, magic = (b"1", raw[344:348]) if len(raw) == HEADER_BYTES else (b"2", raw[4:8])
        if magic == b"n+" + version + b"\0":
            header: np.void = np.frombuffer(raw, header_layout(order, len(raw)), 1)[0]
            return header
        if magic == b"ni" + version + b"\0":
            raise InputError(f"{path}: is the header of a two-file image; convert it to one .nii.gz file")
    raise InputError(
        f"{path}: is not a NIfTI image, whatever its name says; export it again or name it after its format"
    )


def _header_bytes(raw: bytes, order: Order) -> int:
    return int(np.frombuffer(raw, f"{order}i4", 1)[0])


def _size(path: Path, header: np.void) -> Zyx:
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7 or not all(1 <= n <= MOST_VOXELS for n in dims[1 : dims[0] + 1]):
        raise InputError(f"{path}: its header is damaged (dimensions {dims}); export it again")
    used = dims[1 : dims[0] + 1]
    while len(used) > 3 and used[-1] == 1:
        used.pop()
    if len(used) != 3:
        shape = " × ".join(map(str, used))
        raise InputError(f"{path}: is a {len(used)}D image ({shape}); give one 3D image a case")
    x, y, z = used
    return z, y, x


def _number_type(path: Path, header: np.void) -> np.dtype[np.generic]:
    code = int(header["datatype"])
    if code in _COLOURS:
        raise InputError(f"{path}: is a colour image; give the scan itself, not a picture of it")
    if code not in _NUMBERS:
        raise InputError(
            f"{path}: its voxels are of a type that is not read (NIfTI type {code}); convert it to int16 or "
            "float32"
        )
    dtype: np.dtype[np.generic] = np.dtype(header.dtype["datatype"].byteorder + _NUMBERS[code])
    if int(header["bitpix"]) not in (0, 8 * dtype.itemsize):
        raise InputError(
            f"{path}: its header is damaged (type {dtype.name} but {int(header['bitpix'])} bits a voxel); "
            "export it again"
        )
    return dtype


def _scaling(path: Path, header: np.void) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # the standard: slope 0 means no scaling
        return 1.0, 0.0
    if not np.isfinite(intercept) or abs(slope) > 1e20 or abs(intercept) > 1e20:
        raise InputError(
            f"{path}: its header is damaged (slope {slope:g}, intercept {intercept:g}); export it again"
        )
    return slope, intercept
