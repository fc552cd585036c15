"""NRRD files: `.nrrd`, and `.nhdr` with its voxels in a file beside it."""

import re
from pathlib import Path

import numpy as np

from inference.errors import InputError
from inference.imaging.formats.image_file import ImageFile, file_beside, mended_geometry, sized, spaced
from inference.imaging.formats.packed_streams import Compression
from inference.imaging.formats.voxels import StoredVoxels
from model.arrays import F64, Zyx, ZyxMm

LONGEST_HEADER = 1 << 16
_TYPES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF = {alias: code for code, aliases in _TYPES.items() for alias in aliases.split("|")}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_ALIASES = {
    "datafile": "data file", "axismins": "axis mins", "axismaxs": "axis maxs", "centerings": "centers",
}  # fmt: skip
_COMPRESSIONS: dict[str, Compression] = {"raw": "none", "gzip": "gzip", "gz": "gzip"}


def read_nrrd(path: Path) -> ImageFile:
    """Read the header of an NRRD file.

    Raises:
        InputError: not NRRD, not one 3D image of plain numbers, or a header without a usable grid.
        OSError: the file cannot be read.
    """
    fields, after = _fields(path)
    if fields.get("dimension") != "3":
        raise InputError(
            f"{path}: is a {fields.get('dimension', '?')}D or colour image ({fields.get('sizes', '')}); give "
            "one 3D image a case"
        )
    if set(fields.get("kinds", "").lower().split()) & {
        "vector",
        "list",
        "rgb-color",
        "rgba-color",
        "complex",
        "covariant-vector",
    }:
        raise InputError(f"{path}: is a colour, vector or time image; give one 3D image a case")
    size = sized(path, np.array(_floats(path, "sizes", fields.get("sizes", ""))))
    spacing, origin, matrix, warnings = _grid(path, fields)
    geometry, notes = mended_geometry(path, size, spacing, origin, matrix, warnings)
    return ImageFile(geometry=geometry, stored=_stored(path, fields, after, size), warnings=notes)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields in lower case, and the byte at which the header ends."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    if not re.match(rb"NRRD000\d\r?\n", text):
        raise InputError(
            f"{path}: is not an NRRD image, whatever its name says; export it again or name it after its "
            "format"
        )
    fields: dict[str, str] = {}
    at = 0
    while True:
        end = text.find(b"\n", at)
        line = text[at:end].decode(errors="replace").strip(" \t\r")
        at = end + 1
        if not line and end >= 0:
            return fields, at
        if end < 0 and "data file" in fields:
            return fields, len(text)
        if end < 0:
            raise InputError(f"{path}: its header has no end; it is truncated or damaged; export it again")
        key, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            fields[_ALIASES.get(key.lower(), key.lower())] = value.strip()


def _grid(path: Path, fields: dict[str, str]) -> tuple[ZyxMm, F64, F64, list[str]]:
    if "space directions" not in fields:
        if "spacings" not in fields and {"axis mins", "axis maxs"} <= fields.keys():
            raise InputError(
                f"{path}: its header says axis mins and maxs without spacings, which is not read; convert it "
                "to .nii.gz"
            )
        spacing_xyz_mm = np.array(_floats(path, "spacings", fields.get("spacings", "1 1 1")))
        return (
            spaced(path, spacing_xyz_mm),
            _origin_of_axes(path, fields, spacing_xyz_mm),
            np.eye(3),
            ["no orientation in the header; axes were taken for left, posterior, superior"],
        )
    signs = _TO_LPS.get(fields.get("space", "lps").lower())
    if signs is None:
        raise InputError(
            f"{path}: its world axes are not read ({fields['space']}); convert it to left-posterior-superior"
        )
    missing = [key for key in ("space", "space origin") if key not in fields]
    warnings = (
        [f"no {' nor '.join(missing)} in the header; left-posterior-superior and 0 were taken"]
        if missing
        else []
    )
    columns = np.array(_floats(path, "space directions", fields["space directions"]))
    origin = np.array(_floats(path, "space origin", fields.get("space origin", "(0,0,0)")))
    if columns.size != 9 or origin.size != 3:
        raise InputError(
            f"{path}: its header is damaged (space directions {fields['space directions'][:80]}); export it "
            "again"
        )
    columns = columns.reshape(3, 3).T * np.array(signs, np.float64)[:, None]
    lengths = np.linalg.norm(columns, axis=0)
    return spaced(path, lengths), origin * signs, columns / lengths, warnings


def _origin_of_axes(path: Path, fields: dict[str, str], spacing_xyz_mm: F64) -> F64:
    """Where the first voxel's centre lies (x, y, z) in mm, in a header without space directions.

    As ITK: an axis begins at its `axis mins`, which is the voxel's edge unless the axis is centred on nodes.
    Spacings of 0.7, 0.7 and 5 from 1, 2 and 3 on: the first centre lies at 1.35, 2.35 and 5.5.
    """
    lowest = np.array(_floats(path, "axis mins", fields.get("axis mins", "nan nan nan")))
    centers = fields.get("centers", "??? ??? ???").lower().split()
    if len(lowest) != 3 or len(centers) != 3:
        said = f"axis mins: {fields.get('axis mins')}; centers: {fields.get('centers')}"
        raise InputError(f"{path}: its header is damaged ({said[:80]}); export it again")
    if np.isnan(lowest).all() or "spacings" not in fields:
        return np.zeros(3)
    to_centre = np.array([0.0 if center == "node" else 0.5 for center in centers])
    return np.asarray(lowest + to_centre * spacing_xyz_mm, np.float64)


def _stored(path: Path, fields: dict[str, str], after: int, size: Zyx) -> StoredVoxels:
    code = _TYPE_OF.get(fields.get("type", "").lower())
    compression = _COMPRESSIONS.get(fields.get("encoding", "").lower())
    if code is None or compression is None:
        kind = f"type {fields.get('type')}, encoding {fields.get('encoding')}"
        raise InputError(f"{path}: its voxels are of a kind that is not read ({kind}); convert it to .nii.gz")
    if code[1] != "1" and fields.get("endian", "").lower() not in ("little", "big"):
        raise InputError(f"{path}: its header is damaged (endian: {fields.get('endian')}); export it again")
    dtype = np.dtype((">" if fields.get("endian", "").lower() == "big" else "<") + code)
    data = file_beside(path, fields.get("data file", path.name))
    if fields.get("line skip", "0") != "0" or fields.get("byte skip", "0") not in ("0", "-1"):
        raise InputError(f"{path}: skips in its header are not read; convert it to .nii.gz")
    offset = after if data == path else 0
    if fields.get("byte skip") == "-1" and compression == "none":
        offset = max(0, data.stat().st_size - int(np.prod(size, dtype=object)) * dtype.itemsize)
    return StoredVoxels(path=data, size_zyx=size, dtype=dtype, compression=compression, offset=offset)


def _floats(path: Path, key: str, text: str) -> list[float]:
    try:
        return [float(word) for word in re.split(r"[\s(),]+", text) if word]
    except ValueError as error:
        raise InputError(f"{path}: its header is damaged ({key}: {text[:60]}); export it again") from error
