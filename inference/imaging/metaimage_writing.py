"""A label map to disk as MetaImage, which grand-challenge.org takes."""

import zlib
from pathlib import Path

import numpy as np

from inference.geometry import Geometry
from inference.imaging.writing import SLICES_AT_ONCE, whole_file
from model.arrays import U8


def write_metaimage(path: Path, labels: U8, geometry: Geometry) -> None:
    """Write a label map as `.mha`, uint8, packed by zlib, whole or not at all.

    The header states the packed size, so the packed voxels, for label maps a few MB, are held in memory.

    Args:
        path: ends in `.mha`; its folder exists.
        labels: shape (z, y, x) as `geometry` says; a view will do.
        geometry: the grid of the input image.

    Raises:
        OutputError: it cannot be written. Nothing is left behind.
    """
    if labels.shape != geometry.size_zyx or labels.dtype != np.uint8:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}, the grid needs uint8 {geometry.size_zyx}"
        )
    packer = zlib.compressobj(6)
    packed = [
        packer.compress(np.ascontiguousarray(labels[start : start + SLICES_AT_ONCE]).data)
        for start in range(0, len(labels), SLICES_AT_ONCE)
    ]
    packed.append(packer.flush())
    with whole_file(path) as file:
        file.write(_header(geometry, sum(map(len, packed))))
        for piece in packed:
            file.write(piece)


def _header(geometry: Geometry, packed_bytes: int) -> bytes:
    fields = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": True,
        "CompressedDataSize": packed_bytes,
        # A row of the file is an axis of the image, which is a column of the matrix.
        "TransformMatrix": _words(geometry.matrix.T.ravel().tolist()),
        "Offset": _words(geometry.origin_xyz_mm),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _words(geometry.spacing_zyx_mm[::-1]),
        "DimSize": _words(geometry.size_zyx[::-1]),
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{name} = {value}\n" for name, value in fields.items()).encode()


def _words(values: tuple[float, ...] | tuple[int, ...] | list[float]) -> str:
    return " ".join(map(repr, values))
