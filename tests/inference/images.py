"""Small image files with headers of our own making."""

import gzip
import struct

import numpy as np
import SimpleITK as sitk

CODES = {
    "u1": 2,
    "i2": 4,
    "i4": 8,
    "f4": 16,
    "f8": 64,
    "i1": 256,
    "u2": 512,
    "u4": 768,
    "i8": 1024,
    "u8": 1280,
}


def nifti_header(size_xyz=(5, 6, 7), dtype="i2", order="<", **changes):
    """348 bytes.

    An LPS image of 2 x 3 x 4 mm with sform and qform (both scanner) unless changed by keyword.
    """
    ndim = changes.pop("ndim", len(size_xyz))
    spacing = changes.pop("spacing", (2.0, 3.0, 4.0))
    values = {
        "dim": (ndim, *size_xyz, *[1] * (7 - len(size_xyz))),
        "datatype": CODES.get(dtype, dtype),
        "bitpix": np.dtype(dtype).itemsize * 8 if isinstance(dtype, str) else 24,
        "pixdim": (1, *spacing, 0, 0, 0, 0),
        "vox_offset": 352,
        "slope": 1,
        "intercept": 0,
        "units": 2,
        "qform_code": 1,
        "sform_code": 1,
        "quatern": (0, 0, 1),
        "qoffset": (10, 20, 30),
        "srow": (-spacing[0], 0, 0, 10, 0, -spacing[1], 0, 20, 0, 0, spacing[2], 30),
        "magic": b"n+1\0",
    } | changes
    raw = bytearray(348)
    struct.pack_into(f"{order}i", raw, 0, 348)
    struct.pack_into(f"{order}8h", raw, 40, *values["dim"])
    struct.pack_into(f"{order}2h", raw, 70, values["datatype"], values["bitpix"])
    struct.pack_into(f"{order}8f", raw, 76, *values["pixdim"])
    struct.pack_into(f"{order}3f", raw, 108, values["vox_offset"], values["slope"], values["intercept"])
    raw[123] = values["units"]
    struct.pack_into(f"{order}2h", raw, 252, values["qform_code"], values["sform_code"])
    struct.pack_into(f"{order}6f", raw, 256, *values["quatern"], *values["qoffset"])
    struct.pack_into(f"{order}12f", raw, 280, *values["srow"])
    raw[344:348] = values["magic"]
    return bytes(raw)


def write_nifti2(
    path,
    array,
    order="<",
    spacing=(2.0, 3.0, 4.0),
    srow=None,
    quatern=(0, 0, 1),
    origin=(10, 20, 30),
    codes=(1, 1),
):
    """Write a NIfTI-2 file of an array (z, y, x) of int16; an LPS image unless changed."""
    raw = bytearray(544)
    struct.pack_into(f"{order}i8s2h", raw, 0, 540, b"n+2\0\r\n\x1a\n", 4, 16)
    struct.pack_into(f"{order}8q", raw, 16, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into(f"{order}8d", raw, 104, 1, *spacing, 0, 0, 0, 0)
    struct.pack_into(f"{order}q2d", raw, 168, 544, 1, 0)
    struct.pack_into(f"{order}2i", raw, 344, *codes)
    struct.pack_into(f"{order}6d", raw, 352, *quatern, *origin)
    x, y, z = spacing
    struct.pack_into(
        f"{order}12d", raw, 400, *(srow or (-x, 0, 0, origin[0], 0, -y, 0, origin[1], 0, 0, z, origin[2]))
    )
    struct.pack_into(f"{order}i", raw, 500, 2)
    data = bytes(raw) + array.astype(f"{order}i2").tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return path


def voxels(size_xyz=(5, 6, 7), dtype="i2", start=0):
    """0, 1, 2, ... as an array (z, y, x)."""
    return (np.arange(int(np.prod(size_xyz))) + start).astype(dtype).reshape(size_xyz[::-1])


def write_nifti(path, array=None, order="<", **changes):
    """Write a NIfTI file; the header may lie about the array (z, y, x)."""
    array = voxels() if array is None else np.asarray(array)
    code = array.dtype.kind + str(array.dtype.itemsize)
    header = nifti_header(
        changes.pop("size_xyz", array.shape[::-1]), changes.pop("dtype", code), order, **changes
    )
    data = header + bytes(4) + array.astype(array.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return path


def write_series(
    folder,
    positions,
    uid="1.2.3.1",
    orientation=(1, 0, 0, 0, 1, 0),
    number=1,
    size=(3, 4),
    compressor=None,
    modality="CT",
):
    """Write one DICOM slice (4 x 3 voxels of 2 x 2 mm unless said) at each position.

    Its voxels are the slice's number in the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    for i, position in enumerate(positions):
        image = sitk.GetImageFromArray(np.full((1, *size), i, np.int16))
        image.SetSpacing((2, 2, 3))
        image.SetMetaData("0008|0060", modality)
        image.SetMetaData("0008|0018", f"{uid}.{i + 1}")
        image.SetMetaData("0020|000e", uid)
        image.SetMetaData("0020|000d", "1.2.3")
        image.SetMetaData("0020|0013", str(i + 1))
        if position is not None:
            image.SetMetaData("0020|0032", "\\".join(map(str, position)))
            image.SetMetaData("0020|0037", "\\".join(map(str, orientation)))
        writer.SetFileName(str(folder / f"{number}_{i:03}.dcm"))
        writer.Execute(image)
    return folder
