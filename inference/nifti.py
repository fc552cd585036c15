"""NIfTI files: the grid in a header, voxels, and label maps with the header that the input had.

Of the two descriptions of the grid, sform and qform, the same one is believed as in ITK: sform if its code is 1
(scanner) or the qform has none, and the qform otherwise; with neither, index axes are taken for LPS axes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError
from inference.geometry import ORTHONORMAL_WITHIN, Geometry, Zyx, ZyxMm, as_direction, closest_orthonormal, skewness
from inference.voxels import ByteStream, StoredVoxels

HEADER_BYTES = 348
VOXELS_AT = 352
SCANNER = 1
_NUMBERS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_RGB = {128, 2304}
_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])

_FIELDS: dict[str, tuple[str, int, str, int]] = {  # name: NIfTI-1 format and offset, NIfTI-2 format and offset
    "dim": ("8i2", 40, "8i8", 16),
    "datatype": ("i2", 70, "i2", 12),
    "bitpix": ("i2", 72, "i2", 14),
    "pixdim": ("8f4", 76, "8f8", 104),
    "vox_offset": ("f4", 108, "i8", 168),
    "scl_slope": ("f4", 112, "f8", 176),
    "scl_inter": ("f4", 116, "f8", 184),
    "cal": ("2f4", 124, "2f8", 192),
    "qform_code": ("i2", 252, "i4", 344),
    "sform_code": ("i2", 254, "i4", 348),
    "quatern": ("3f4", 256, "3f8", 352),
    "qoffset": ("3f4", 268, "3f8", 376),
    "srow": ("(3,4)f4", 280, "(3,4)f8", 400),
}


def _layout(version: int) -> np.dtype[np.void]:
    columns = (0, 1) if version == 1 else (2, 3)
    picked = {name: (str(field[columns[0]]), int(str(field[columns[1]]))) for name, field in _FIELDS.items()}
    size = HEADER_BYTES if version == 1 else 540
    formats, offsets = [f for f, _ in picked.values()], [o for _, o in picked.values()]
    return np.dtype({"names": list(picked), "formats": formats, "offsets": offsets, "itemsize": size})


@dataclass(frozen=True, kw_only=True)
class NiftiImage:
    """What a header says: the grid, where the voxels lie, and what the user should know."""

    geometry: Geometry
    stored: StoredVoxels
    warnings: tuple[str, ...] = ()


def read_nifti(path: Path) -> NiftiImage:
    """Read the header of a `.nii` or `.nii.gz` file.

    Raises:
        InputError: not NIfTI, not one 3D image of plain numbers, or a header without a usable grid.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        whole = StoredVoxels(path=path, size_zyx=(1, 1, 1), dtype=np.dtype("u1"), compression="gzip" if packed else "none")
        try:
            raw = ByteStream(file, whole).read(HEADER_BYTES)
        except InputError as error:
            raise InputError(f"{path}: is not a NIfTI image (no whole header in it); export it again") from error
        if int.from_bytes(raw[:4], "little") == 540 or int.from_bytes(raw[:4], "big") == 540:
            file.seek(0)
            raw = ByteStream(file, whole).read(540)
    header = _unpack(path, raw)
    size = _size(path, header)
    dtype = _number_type(path, header)
    slope, intercept = _scaling(path, header)
    offset = float(header["vox_offset"])
    if not 0 <= offset <= 1 << 30:
        raise InputError(f"{path}: its header is damaged (voxels at byte {offset:g}); export it again")
    stored = StoredVoxels(
        path=path, size_zyx=size, dtype=dtype, compression=whole.compression,
        skip=max(int(offset), VOXELS_AT if len(raw) == HEADER_BYTES else 544), slope=slope, intercept=intercept,
    )  # fmt: skip
    geometry, warnings = _grid(path, header, size)
    if len(raw) == HEADER_BYTES:
        geometry = Geometry(
            size_zyx=size, spacing_zyx_mm=geometry.spacing_zyx_mm, origin_xyz_mm=geometry.origin_xyz_mm, direction=geometry.direction,
            nifti_header=raw,
        )  # fmt: skip
    return NiftiImage(geometry=geometry, stored=stored, warnings=warnings)


def _unpack(path: Path, raw: bytes) -> np.void:
    for order in "<>":
        version = {348: 1, 540: 2}.get(int(np.frombuffer(raw, f"{order}i4", 1)[0]))
        magic = raw[344:348] if version == 1 else raw[4:8]
        if version and magic in (b"n+1\0", b"n+2\0"):
            header: np.void = np.frombuffer(raw, _layout(version).newbyteorder(order), 1)[0]
            return header
        if version and magic in (b"ni1\0", b"ni2\0"):
            raise InputError(f"{path}: is the header of a two-file image; convert it to one .nii.gz file")
    raise InputError(f"{path}: is not a NIfTI image (its first bytes are something else); export it again or rename it after its format")


def _size(path: Path, header: np.void) -> Zyx:
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7 or any(n < 1 for n in dims[1 : dims[0] + 1]):
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
    if code in _RGB:
        raise InputError(f"{path}: is a colour image; give the CT itself, not a picture of it")
    if code not in _NUMBERS:
        raise InputError(f"{path}: its voxels are of a type that is not read (NIfTI type {code}); convert it to int16 or float32")
    return np.dtype(header.dtype["datatype"].byteorder + _NUMBERS[code])


def _scaling(path: Path, header: np.void) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # the standard: slope 0 means no scaling
        return 1.0, 0.0
    if not np.isfinite(intercept) or abs(slope) > 1e20 or abs(intercept) > 1e20:
        raise InputError(f"{path}: its header is damaged (slope {slope:g}, intercept {intercept:g}); export it again")
    return slope, intercept


def _grid(path: Path, header: np.void, size: Zyx) -> tuple[Geometry, tuple[str, ...]]:
    """The grid in LPS, from sform, qform or pixdim, mended where it has to be."""
    warnings: list[str] = []
    pixdim = header["pixdim"].astype(np.float64)[1:4]
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    use_sform = sform and (int(header["sform_code"]) == SCANNER or not qform)
    s_columns, s_origin = _sform(header)
    usable = bool(np.all(s_columns.any(axis=0)) and np.isfinite(s_columns).all() and np.isfinite(s_origin).all())
    if use_sform and qform and not (usable and skewness(_unit(s_columns)) <= 1e-3):
        use_sform = False
        warnings.append("sform is not orthonormal; the qform was taken")
    if use_sform and not usable:
        raise InputError(f"{path}: its header has no usable orientation (sform is singular); export it again")
    if use_sform:
        matrix, origin = _unit(s_columns), s_origin
    elif qform:
        matrix, origin = _qform(header), header["qoffset"].astype(np.float64)
    else:
        matrix, origin = _LPS_OF_RAS, np.zeros(3)
        warnings.append("no orientation in the header; axes were taken for left, posterior, superior")
    if sform and qform and usable and not _agree(s_columns, s_origin, header, size):
        warnings.append(f"sform and qform disagree; the {'sform' if use_sform else 'qform'} was taken")
    spacing = _spacing(path, pixdim, np.linalg.norm(s_columns, axis=0) if sform and usable else None, warnings)
    if not use_sform and qform and (pixdim <= 0).any():
        raise InputError(f"{path}: its header has spacing {pixdim.tolist()} and no other orientation than the qform; set a spacing above 0")
    return mended_geometry(path, size, spacing, _LPS_OF_RAS @ origin, _LPS_OF_RAS @ matrix, warnings)


def mended_geometry(
    path: Path, size: Zyx, spacing: ZyxMm, origin: NDArray[np.float64], matrix: NDArray[np.float64], warnings: list[str]
) -> tuple[Geometry, tuple[str, ...]]:
    """A grid whose direction is the orthonormal one next to `matrix`; warns if that is another one.

    Raises:
        InputError: no orthonormal matrix is near, or a number is not finite.
    """
    direction = closest_orthonormal(matrix)
    if direction is None or not np.isfinite(origin).all():
        raise InputError(f"{path}: its header has no usable orientation (axes are not independent); export it again")
    if skewness(matrix) > ORTHONORMAL_WITHIN:
        warnings.append(f"axes are not at right angles (by {skewness(matrix):.2g}); the closest right-angled grid was taken")
    x, y, z = (float(value) for value in origin)
    geometry = Geometry(size_zyx=size, spacing_zyx_mm=spacing, origin_xyz_mm=(x, y, z), direction=as_direction(direction))
    return geometry, tuple(warnings)


def _spacing(path: Path, pixdim: NDArray[np.float64], lengths: NDArray[np.float64] | None, warnings: list[str]) -> ZyxMm:
    """Spacing from pixdim, or from the lengths of the sform's columns where pixdim is no spacing."""
    good = np.isfinite(pixdim) & (pixdim > 0)
    if not good.all() and lengths is None:
        raise InputError(f"{path}: its header has spacing {pixdim.tolist()} and nothing to mend it with; set a spacing above 0")
    spacing = pixdim
    if lengths is not None:
        spacing = np.where(good, pixdim, lengths)
        if not good.all():
            warnings.append(
                f"spacing in the header is {pixdim.tolist()}; taken from the sform: {np.round(spacing, 4).tolist()} (x, y, z) mm"
            )
        elif np.any(np.abs(lengths / pixdim - 1) > 0.01):
            warnings.append(f"spacing in the header is {np.round(pixdim, 4).tolist()} but {np.round(lengths, 4).tolist()} in the sform")
    if np.any(spacing > 1e4) or np.any(spacing < 1e-4):
        raise InputError(f"{path}: its header is damaged (spacing {spacing.tolist()} mm); export it again")
    x, y, z = (float(value) for value in spacing)
    return z, y, x


def _sform(header: np.void) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = header["srow"].astype(np.float64)
    return rows[:, :3], rows[:, 3]


def _unit(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(columns / np.linalg.norm(columns, axis=0), np.float64)


def _qform(header: np.void) -> NDArray[np.float64]:
    """Rotation matrix of the quaternion; its third column turned around where pixdim[0] is below 0 (NIfTI-1 standard)."""
    b, c, d = (float(value) for value in header["quatern"])
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn, perhaps with rounding
        length = np.sqrt(b * b + c * c + d * d)
        a, (b, c, d) = 0.0, (b / length, c / length, d / length)
    else:
        a = float(np.sqrt(rest))
    matrix = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    if float(header["pixdim"][0]) < 0:
        matrix[:, 2] *= -1
    return matrix


def _agree(s_columns: NDArray[np.float64], s_origin: NDArray[np.float64], header: np.void, size: Zyx) -> bool:
    """Whether sform and qform put every corner of the image within half a voxel of the same place."""
    q_columns = _qform(header) * header["pixdim"].astype(np.float64)[1:4]
    reach = np.abs(s_columns - q_columns) @ (np.array(size[::-1]) - 1)
    gap = np.abs(s_origin - header["qoffset"].astype(np.float64)) + reach
    return bool(np.all(gap <= 0.5 * np.linalg.norm(s_columns, axis=0).min()))


def label_header(geometry: Geometry) -> bytes:
    """The 352 bytes before the voxels of an uint8 label map on a grid: those of the NIfTI file that it came from, if it did."""
    z, y, x = geometry.size_zyx
    raw = bytearray(geometry.nifti_header or _fresh_header(geometry))
    little = int.from_bytes(raw[:4], "little") == HEADER_BYTES
    header: Any = np.frombuffer(raw, _layout(1).newbyteorder("<" if little else ">"), 1)
    header["dim"] = (3, x, y, z, 1, 1, 1, 1)
    header["datatype"], header["bitpix"] = 2, 8
    header["vox_offset"], header["scl_slope"], header["scl_inter"], header["cal"] = VOXELS_AT, 1, 0, 0
    raw[148:252] = b"LeanSeg labels".ljust(104, b"\0")  # descrip and aux_file
    raw[344:348] = b"n+1\0"
    return bytes(raw) + bytes(VOXELS_AT - HEADER_BYTES)


def _fresh_header(geometry: Geometry) -> bytes:
    raw = bytearray(HEADER_BYTES)
    raw[:4] = HEADER_BYTES.to_bytes(4, "little")
    raw[38] = ord("r")
    raw[123] = 2  # millimetres
    header: Any = np.frombuffer(raw, _layout(1).newbyteorder("<"), 1)
    matrix = _LPS_OF_RAS @ geometry.matrix
    origin = _LPS_OF_RAS @ np.array(geometry.origin_xyz_mm)
    spacing = np.array(geometry.spacing_zyx_mm)[::-1]
    hand = 1.0 if np.linalg.det(matrix) > 0 else -1.0
    header["pixdim"] = (hand, *spacing, 0, 0, 0, 0)
    header["qform_code"] = header["sform_code"] = SCANNER
    header["quatern"], header["qoffset"] = _quaternion(matrix * (1, 1, hand)), origin
    header["srow"] = np.column_stack([matrix * spacing, origin])
    return bytes(raw)


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """b, c, d of the quaternion with a >= 0, from the eigenvector that stays stable for every rotation."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    a, b, c, d = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return float(sign * b), float(sign * c), float(sign * d)
