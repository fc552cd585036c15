"""MetaImage files: `.mha`, and `.mhd` with its voxels in a file beside it."""

from pathlib import Path
from types import MappingProxyType

import numpy as np

from inference.errors import InputError
from inference.imaging.formats.image_file import ImageFile, file_beside, mended_geometry, sized, spaced
from inference.imaging.formats.packed_streams import Compression
from inference.imaging.formats.voxels import StoredVoxels
from model.arrays import F64

LONGEST_HEADER = 1 << 16
BLANK = " \t\r"
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4",
    "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_ALIASES = {
    "Position": "Offset", "Origin": "Offset", "Rotation": "TransformMatrix", "Orientation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}  # fmt: skip
_UNSAID = MappingProxyType(
    {
        "ElementSpacing": "1 mm along each axis",
        "TransformMatrix": "axes to left, posterior, superior",
        "Offset": "an origin of 0",
    }
)
"""What is taken where a header does not say it, as ITK does."""


def read_metaimage(path: Path) -> ImageFile:
    """Read the header of a MetaImage file.

    Raises:
        InputError: not a MetaImage, not one 3D image of plain numbers, or a header without a usable grid.
        OSError: the file cannot be read.
    """
    fields, after = _fields(path)
    # As ITK: the size of voxels stands for the distance between them where that is not said.
    replaced = "ElementSpacing" if "ElementSize" in fields and "ElementSpacing" not in fields else None
    missing = [key for key in _UNSAID if key not in fields and key != replaced]
    warnings = ["no ElementSpacing in the header; ElementSize was taken, as ITK does"] if replaced else []
    if missing:
        taken = " and ".join(_UNSAID[key] for key in missing)
        warnings.append(f"no {' nor '.join(missing)} in the header; taken instead: {taken}")
    size = sized(path, _numbers(path, fields, "DimSize", ""))
    spacing = spaced(path, _numbers(path, fields, "ElementSize" if replaced else "ElementSpacing", "1 1 1"))
    # One row of the file is one axis of the image; SimpleITK has axes as columns.
    matrix = _numbers(path, fields, "TransformMatrix", "1 0 0 0 1 0 0 0 1", 9).reshape(3, 3).T
    origin = _numbers(path, fields, "Offset", "0 0 0")
    geometry, notes = mended_geometry(path, size, spacing, origin, matrix, warnings)
    return ImageFile(geometry=geometry, stored=_stored(path, fields, after, size), warnings=notes)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields, and the byte at which the header ends."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    at = 0
    while "ElementDataFile" not in fields:
        end = text.find(b"\n", at)
        key, equals, value = text[at:end].decode(errors="replace").partition("=")
        if end < 0 or not equals:
            raise InputError(
                f"{path}: is not a MetaImage, whatever its name says, or its header is damaged; export it "
                "again"
            )
        fields[_ALIASES.get(key.strip(BLANK), key.strip(BLANK))] = value.strip(BLANK)
        at = end + 1
    return fields, at


def _stored(path: Path, fields: dict[str, str], after: int, size: tuple[int, int, int]) -> StoredVoxels:
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputError(f"{path}: is a colour or vector image; give the scan itself, one value a voxel")
    if fields.get("ElementType") not in _TYPES or not _is_true(fields, "BinaryData", "True"):
        raise InputError(
            f"{path}: its voxels are of a type that is not read ({fields.get('ElementType')}); convert it to "
            ".nii.gz"
        )
    dtype = np.dtype(
        (">" if _is_true(fields, "BinaryDataByteOrderMSB", "False") else "<") + _TYPES[fields["ElementType"]]
    )
    compression: Compression = "zlib" if _is_true(fields, "CompressedData", "False") else "none"
    name = fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        return StoredVoxels(path=path, size_zyx=size, dtype=dtype, compression=compression, offset=after)
    data = file_beside(path, name)
    try:
        offset = int(fields.get("HeaderSize", "0"))
        offset = (
            offset if offset >= 0 else data.stat().st_size - int(np.prod(size, dtype=object)) * dtype.itemsize
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: its header is damaged (HeaderSize = {fields.get('HeaderSize')}); export it again"
        ) from error
    return StoredVoxels(path=data, size_zyx=size, dtype=dtype, compression=compression, offset=max(0, offset))


def _numbers(path: Path, fields: dict[str, str], key: str, default: str, count: int = 3) -> F64:
    words = fields.get(key, default).split()
    dimensions = fields.get("NDims", "3")
    if dimensions != "3":
        raise InputError(
            f"{path}: is a {dimensions}D image ({fields.get('DimSize', '')}); give one 3D image a case"
        )
    try:
        values = np.array([float(word) for word in words], np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count:
        raise InputError(f"{path}: its header is damaged ({key} = {' '.join(words)[:60]}); export it again")
    return values


def _is_true(fields: dict[str, str], key: str, default: str) -> bool:
    """Whether a word is true by its first letter, which is all that ITK looks at."""
    return fields.get(key, default)[:1] in ("T", "t", "1")
