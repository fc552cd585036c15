"""The fields of a NIfTI header, and the header of a label map."""

from typing import Any, Literal

import numpy as np

from inference.geometry import Geometry
from model.arrays import F64

HEADER_BYTES = 348
VOXELS_AT = 352
SCANNER = 1
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])

_FIELDS: dict[str, tuple[Any, int]] = {
    "dim": (("i2", (8,)), 40),
    "datatype": ("i2", 70),
    "bitpix": ("i2", 72),
    "pixdim": (("f4", (8,)), 76),
    "vox_offset": ("f4", 108),
    "scl_slope": ("f4", 112),
    "scl_inter": ("f4", 116),
    "xyzt_units": ("u1", 123),
    "cal": (("f4", (2,)), 124),
    "qform_code": ("i2", 252),
    "sform_code": ("i2", 254),
    "quatern": (("f4", (3,)), 256),
    "qoffset": (("f4", (3,)), 268),
    "srow": (("f4", (3, 4)), 280),
}
"""Format and first byte of the fields used (nifti1.h). Shapes are tuples: text such as `8i2` numpy reads with
`ast`, which fails now and then where several threads do so (CPython 3.11)."""

HEADER_BYTES_2 = 540
_FIELDS_2: dict[str, tuple[Any, int]] = {
    "datatype": ("i2", 12),
    "bitpix": ("i2", 14),
    "dim": (("i8", (8,)), 16),
    "pixdim": (("f8", (8,)), 104),
    "vox_offset": ("i8", 168),
    "scl_slope": ("f8", 176),
    "scl_inter": ("f8", 184),
    "qform_code": ("i4", 344),
    "sform_code": ("i4", 348),
    "quatern": (("f8", (3,)), 352),
    "qoffset": (("f8", (3,)), 376),
    "srow": (("f8", (3, 4)), 400),
    "xyzt_units": ("i4", 500),
}
"""The same of NIfTI-2 (nifti2.h), which is read and not written."""


def header_layout(order: Literal["<", ">"], header_bytes: int = HEADER_BYTES) -> np.dtype[np.void]:
    """Layout of the fields used in a byte order, of NIfTI-1 or, with 540 bytes, of NIfTI-2."""
    fields = _FIELDS if header_bytes == HEADER_BYTES else _FIELDS_2
    formats, offsets = [form for form, _ in fields.values()], [at for _, at in fields.values()]
    layout = np.dtype(
        {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": header_bytes}
    )
    return layout.newbyteorder(order)


def label_header(geometry: Geometry) -> bytes:
    """The 352 bytes before the voxels of a uint8 label map on a grid.

    Where the grid came from a NIfTI file they are that file's own.
    """
    z, y, x = geometry.size_zyx
    raw = bytearray(geometry.nifti_header or _fresh_header(geometry))
    order: Literal["<", ">"] = "<" if int.from_bytes(raw[:4], "little") == HEADER_BYTES else ">"
    header: Any = np.frombuffer(raw, header_layout(order), 1)
    header["dim"] = (3, x, y, z, 1, 1, 1, 1)
    header["datatype"], header["bitpix"] = 2, 8
    header["vox_offset"], header["scl_slope"], header["scl_inter"], header["cal"] = VOXELS_AT, 1, 0, 0
    # What people write into headers, names of patients too, is not handed on: data_type and db_name,
    # intent_code, intent_name; descrip and aux_file.
    raw[4:32], raw[68:70], raw[328:344] = bytes(28), bytes(2), bytes(16)
    raw[148:252] = b"LeanSeg labels".ljust(104, b"\0")
    raw[344:348] = b"n+1\0"
    return bytes(raw) + bytes(VOXELS_AT - HEADER_BYTES)


def _fresh_header(geometry: Geometry) -> bytes:
    raw = bytearray(HEADER_BYTES)
    raw[:4] = HEADER_BYTES.to_bytes(4, "little")
    raw[38] = ord("r")
    raw[123] = 2  # millimetres
    header: Any = np.frombuffer(raw, header_layout("<"), 1)
    matrix = LPS_OF_RAS @ geometry.matrix
    origin = LPS_OF_RAS @ np.array(geometry.origin_xyz_mm)
    spacing = np.array(geometry.spacing_zyx_mm)[::-1]
    hand = 1.0 if np.linalg.det(matrix) > 0 else -1.0
    header["pixdim"] = (hand, *spacing, 0, 0, 0, 0)
    header["qform_code"] = header["sform_code"] = SCANNER
    header["quatern"], header["qoffset"] = _quaternion(matrix * (1, 1, hand)), origin
    header["srow"] = np.column_stack([matrix * spacing, origin])
    return bytes(raw)


def _quaternion(rotation: F64) -> tuple[float, float, float]:
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
