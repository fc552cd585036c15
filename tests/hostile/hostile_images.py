"""A few hundred images that somebody made to do harm, each under a name of its own.

`python -m tests.hostile.hostile_images FOLDER` writes them, for other programs to try.
"""

import gzip
import os
import shutil
import socket
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.end_to_end.odd_images import CT, REFUSED, SPACING
from tests.inference.dicom_files import EXPLICIT, PREFIX, dicom, element, sequence
from tests.inference.images import nifti_header, voxels, write_nifti

NIFTI_FIELDS = {
    "sizeof_hdr": (0, "i"),
    "ndim": (40, "h"),
    "nx": (42, "h"),
    "ny": (44, "h"),
    "nz": (46, "h"),
    "nt": (48, "h"),
    "nv": (54, "h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "qfac": (76, "f"),
    "dx": (80, "f"),
    "dz": (88, "f"),
    "vox_offset": (108, "f"),
    "slope": (112, "f"),
    "intercept": (116, "f"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern_b": (256, "f"),
    "qoffset_x": (268, "f"),
    "srow_x": (280, "f"),
    "magic": (344, "i"),
}
"""Where a field of the header lies, and its type."""
EXTREMES = {
    "h": (-32768, -1, 0, 8, 32767),
    "i": (-(2**31), -1, 0, 1, 2**31 - 1),
    "f": (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e-45, 3.4e38),
}
NAMES = (
    "a\nerror: fake.nii.gz",
    "b\r\x1b[2J\x1b]0;title\x07.nii.gz",
    "c\x9b31m.nii.gz",
    "-rf.nii.gz",
    "--report.nii.gz",
    "=cmd|' C calc'!A0.nii.gz",
    "@SUM(A1).nii.gz",
    "+1+1.nii.gz",
    "<script>alert(1)<!--.nii.gz",
    "\"'><img src=x>.nii.gz",
    "$(touch pwned).nii.gz",
    "`touch pwned`.nii.gz",
    "%s%n%x.nii.gz",
    "{0.__class__}.nii.gz",
    "\u202egz.iin.nii.gz",
    "..\\..\\up.nii.gz",
    "_0000.nii.gz",
    " .nii.gz",
    "n" * 240 + ".nii.gz",
    "Mu\u0308ller.nii.gz",
    b"bad\xff\xfeutf8.nii.gz",
    "tab\tname.nii.gz",
    "con.nii.gz",
    "a;b&c|d.nii.gz",
)
"""Names of sound images, of which each has a result."""
META = {
    "terabytes": "DimSize = 1000000 1000000 1000000",
    "negative size": "DimSize = -5 6 7",
    "size of nothing": "DimSize = 0 6 7",
    "size too large to count": "DimSize = 99999999999999999999 6 7",
    "sizes missing": "DimSize = 5 6",
    "dimensions": "NDims = 1000000000",
    "dimensions of text": "NDims = three",
    "passwd": "ElementDataFile = /etc/passwd",
    "passwd from below": "ElementDataFile = ../../../../../../etc/passwd",
    "device": "ElementDataFile = /dev/zero",
    "list": "ElementDataFile = LIST\n/etc/passwd",
    "pattern": "ElementDataFile = slice%n%s%d.raw 0 99999999 1",
    "itself": "ElementDataFile = .",
    "name of control characters": "ElementDataFile = a\x1b[2Jb",
    "type": "ElementType = MET_EVIL",
    "type of arrays": "ElementType = MET_DOUBLE_ARRAY",
    "spacing": "ElementSpacing = nan inf -0",
    "offset": "Offset = 1e999 0 0",
    "matrix": "TransformMatrix = 0 0 0 0 0 0 0 0 0",
    "matrix of nothing": "TransformMatrix =",
    "packed": "CompressedData = True\nCompressedDataSize = 1",
    "packed beyond counting": "CompressedData = True\nCompressedDataSize = -99999999999",
    "packed, misspelt": "CompressedData = Trud",
    "skip": "HeaderSize = -1",
    "skip far": "HeaderSize = 999999999999",
    "channels": "ElementNumberOfChannels = 999999999",
    "long line": "Comment = " + "x" * 3_000_000,
    "no colon": "x" * 10_000,
    "binary": "\x00\x01\x02 = \x03",
    "text voxels": "BinaryData = False",
}
NRRD = {
    "terabytes": "sizes: 1000000 1000000 1000000",
    "negative": "sizes: -5 6 7",
    "text": "sizes: five six seven",
    "many": "dimension: 99999999",
    "passwd": "data file: /etc/passwd",
    "passwd from below": "data file: ../../../../etc/passwd",
    "list": "data file: LIST\n/etc/passwd",
    "pattern": "data file: %s%n.raw 1 9 1",
    "device": "data file: /dev/zero",
    "encoding": "encoding: bzip2",
    "encoding of nobody": "encoding: \x1b[2J",
    "type": "type: block",
    "skip": "byte skip: -2",
    "skip far": "byte skip: 999999999999",
    "lines": "line skip: 999999999999",
    "directions": "space directions: (nan,0,0) (0,inf,0) (0,0,0)",
    "directions of text": "space directions: (((((((((",
    "no directions": "space directions: none none none",
    "origin": "space origin: (1e999,0,0)",
    "space": "space: left-anterior-hyper",
    "endian": "endian: middle",
    "long": "content: " + "x" * 3_000_000,
}
DICOM = {
    "no rows": {"rows": 0},
    "more rows than there are": {"rows": 65535},
    "no bits": {"stored": 0},
    "bits beyond": {"stored": 16, "high": 99},
    "colour": {"samples": 3},
    "no samples": {"samples": 0},
    "slope nan": {"slope": "nan"},
    "slope huge": {"slope": "1e400"},
    "slope of text": {"slope": "a\x1b[2J"},
    "intercept": {"intercept": "-inf"},
}
DICOM_ELEMENTS = {
    "frames beyond counting": element(0x00280008, "IS", "999999999999"),
    "frames below nothing": element(0x00280008, "IS", "-1"),
    "place": element(0x00200032, "DS", "nan\\inf\\0"),
    "place of text": element(0x00200032, "DS", "here"),
    "directions of nothing": element(0x00200037, "DS", "0\\0\\0\\0\\0\\0"),
    "spacing of nothing": element(0x00280030, "DS", "0\\0"),
    "spacing below nothing": element(0x00280030, "DS", "-1\\-1"),
    "series of control characters": element(0x0020000E, "UI", "\x1b[2J\n"),
    "a long series": element(0x0020000E, "UN", "9" * 1_000_000),
}


def write_images(folder: Path) -> None:
    """Write all of them into a folder, which exists."""
    for name in NAMES:
        path = Path(
            os.fsdecode(os.fsencode(folder) + b"/" + (name if isinstance(name, bytes) else name.encode()))
        )
        write_nifti(path, CT[:4], spacing=SPACING)
    _known(folder)
    _nifti(folder)
    _text_headers(folder)
    _dicom(folder)
    _special(folder)
    _bombs(folder)


def _known(folder):
    """Every row of docs/input.md that is refused."""
    for row, (make, _) in REFUSED.items():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            make(Path(scratch))
            for path in Path(scratch).iterdir():
                target = folder / f"known {row.replace('.', '')} {path.name}"
                if path.is_symlink():
                    target.symlink_to(path.readlink())
                else:
                    shutil.move(path, target)


def _nifti(folder):
    sound = bytearray(nifti_header()) + bytes(4) + voxels().tobytes()
    for field, (at, kind) in NIFTI_FIELDS.items():
        for number, extreme in enumerate(EXTREMES[kind]):
            data = bytearray(sound)
            struct.pack_into(f"<{kind}", data, at, extreme)
            (folder / f"nifti {field} {number}.nii").write_bytes(data)
    for length in (0, 1, 4, 100, 347, 348, 351, 352, len(sound) - 1):
        (folder / f"nifti cut {length}.nii").write_bytes(sound[:length])
        (folder / f"nifti cut {length} packed.nii.gz").write_bytes(gzip.compress(sound[:length]))
        (folder / f"nifti packed and cut {length}.nii.gz").write_bytes(gzip.compress(sound)[:length])


def _text_headers(folder):
    start = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 5 6 7\nElementType = MET_SHORT\n"
    for name, line in META.items():
        end = "" if "ElementDataFile" in line else "ElementDataFile = LOCAL\n"
        text = f"{start}{line}\n{end}".encode()
        (folder / f"meta {name}.mha").write_bytes(text + voxels().tobytes())
        (folder / f"meta {name}.mhd").write_bytes(text.replace(b"LOCAL", b"nowhere.raw"))
    start = "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 6 7\nencoding: raw\nendian: little\n"
    for name, line in NRRD.items():
        for suffix in ("nrrd", "nhdr"):
            text = f"{start}{line}\n\n".encode()
            (folder / f"nrrd {name}.{suffix}").write_bytes(text + voxels().tobytes())


def _dicom(folder):
    pixels, start = np.zeros((4, 5), np.int16), PREFIX + element(0x00020010, "UI", EXPLICIT + "\0")
    opened = struct.pack("<HH2sHIHHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    too_long = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFF0)
    files = {
        **{name: dicom(pixels, **changes) for name, changes in DICOM.items()},
        **{name: dicom(pixels) + extra for name, extra in DICOM_ELEMENTS.items()},
        **{f"{name} first": dicom(pixels, extra=extra) for name, extra in DICOM_ELEMENTS.items()},
        "prefix alone": PREFIX,
        "nothing but zeros": bytes(2000),
        "unknown syntax": dicom(pixels, "1.2.3\x1b[2J"),
        "deflated": dicom(pixels, "1.2.840.10008.1.2.1.99"),
        "thousands of nested sequences": start + opened * 20_000,
        "a length beyond the file": dicom(pixels)[:-52] + too_long,
        "items that never end": start + sequence(0x00081140, b"")[:-4],
    }
    for name, data in files.items():
        (folder / f"dicom {name}").mkdir()
        (folder / f"dicom {name}" / "1.dcm").write_bytes(data)
    for number, length in enumerate((133, 200, 300, 350)):
        (folder / f"dicom cut {number}").mkdir()
        (folder / f"dicom cut {number}" / "1.dcm").write_bytes(dicom(pixels)[:length])


def _special(folder):
    """What is no file, under names of images."""
    for suffix in (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"):
        os.mkfifo(folder / f"pipe{suffix}")
        for target in ("/dev/zero", "/dev/random", "/dev/full", "/proc/self/mem", "/", "/etc/passwd"):
            (folder / f"link to {target.replace('/', ' ')}{suffix}").symlink_to(target)
        (folder / f"link to itself{suffix}").symlink_to(folder / f"link to itself{suffix}")
        (folder / f"folder{suffix}").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket.nii"))
    (folder / "series of pipes").mkdir()
    (folder / "series of pipes" / "0.dcm").write_bytes(dicom(np.zeros((4, 5), np.int16)))
    os.mkfifo(folder / "series of pipes" / "1.dcm")
    (folder / "series of links").mkdir()
    (folder / "series of links" / "0.dcm").symlink_to("/dev/zero")
    (folder / "series of links" / "1.dcm").symlink_to("1.dcm")


def _bombs(folder):
    """Half a gibibyte of zeros in half a megabyte, and headers that want more than there is."""
    zeros = bytes(1 << 20)
    packed = gzip.compress(zeros)
    for name, size_xyz in (("more than it says", (5, 6, 7)), ("less than it says", (2000, 2000, 2000))):
        with gzip.open(folder / f"bomb {name}.nii.gz", "wb", compresslevel=9) as file:
            file.write(nifti_header(size_xyz, spacing=(0.1, 0.1, 0.1)) + bytes(4))
            for _ in range(64):
                file.write(zeros)
    # Members that follow one another count as one stream.
    head = gzip.compress(nifti_header() + bytes(4) + voxels().tobytes())
    (folder / "bomb of many members.nii.gz").write_bytes(head + packed * 512)
    (folder / "bomb of empty members.nii.gz").write_bytes(gzip.compress(b"") * 50_000)
    text = "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 6 7\nencoding: gzip\nendian: little\n\n"
    (folder / "bomb.nrrd").write_bytes(text.encode() + packed * 64)


if __name__ == "__main__":
    write_images(Path(sys.argv[1]))
