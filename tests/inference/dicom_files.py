"""DICOM files of our own making, byte by byte."""

import struct
import zlib

import numpy as np

PREFIX = bytes(128) + b"DICM"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
HTJ2K, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.70"


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


SEG, RTDOSE, DIRECTORY = (f"1.2.840.10008.{kind}" for kind in ("5.1.4.1.1.66.4", "5.1.4.1.1.481.2", "1.3.10"))


def uid(tag, value, syntax=EXPLICIT):
    return element(tag, "UI", value + "\0" * (len(value) % 2), syntax)


def start(syntax=EXPLICIT, sop_class=""):
    """What a file begins with: what it is, if that is said, and how the rest is written."""
    return PREFIX + (uid(0x00020002, sop_class) if sop_class else b"") + uid(0x00020010, syntax)


def dicom(pixels, syntax=EXPLICIT, z=0.0, extra=b"", sop_class="", **changes):
    """A DICOM file of our own making; `pixels` (rows, columns) as stored."""
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    values = {
        "stored": 16,
        "high": 15,
        "signed": 1,
        "slope": "1",
        "intercept": "-1024",
        "samples": 1,
        "rows": pixels.shape[0],
        "bits": pixels.itemsize * 8,
    } | changes
    elements = [
        (0x0020000E, "UI", "1.2.3"), (0x00200032, "DS", f"0\\0\\{z}"), (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        (0x00280002, "US", values["samples"]), (0x00280010, "US", values["rows"]),
        (0x00280011, "US", pixels.shape[1]),
        (0x00280030, "DS", "0.8\\0.7"), (0x00280100, "US", values["bits"]),
        (0x00280101, "US", values["stored"]),
        (0x00280102, "US", values["high"]), (0x00280103, "US", values["signed"]),
        (0x00281052, "DS", values["intercept"]),
        (0x00281053, "DS", values["slope"]), (0x7FE00010, "OW", stored),
    ]  # fmt: skip
    return start(syntax, sop_class) + extra + b"".join(element(*e, syntax) for e in elements)


def deflated(pixels, **said):
    """The same with all after its start deflated."""
    head, whole = start(DEFLATED, said.get("sop_class", "")), dicom(pixels, DEFLATED, **said)
    pack = zlib.compressobj(wbits=-15)
    return head + pack.compress(whole[len(head) :]) + pack.flush()


def segmentation(sop_class=SEG):
    """Two voxels in a byte each: what no image has, and a SEG does."""
    return dicom(np.zeros((2, 4), np.uint8), bits=1, stored=1, high=0, signed=0, sop_class=sop_class)


def packed_junk():
    """A DICOM file whose compressed pixels are none: one fragment of text."""
    mark = struct.Struct("<HHI")
    junk = (
        mark.pack(0xFFFE, 0xE000, 0)
        + mark.pack(0xFFFE, 0xE000, 12)
        + b"no JPEG here"
        + mark.pack(0xFFFE, 0xE0DD, 0)
    )
    head = dicom(np.zeros((2, 3), np.int16), JPEG_LOSSLESS)[
        :-16
    ]  # without the length of the pixels and the pixels
    return head + struct.pack("<I", 0xFFFFFFFF) + junk


def sequence(tag, *items, syntax=EXPLICIT):
    packed = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(tag, "SQ", packed, syntax)


def enhanced(pixels, zs, syntax=EXPLICIT, intercepts=None, described=None, series="1.2.3", **said):
    """An enhanced CT: pixels (frames, rows, columns) as stored, one file.

    A frame's place and rescaling stand in its functional groups. `said` may give `sop_class` and `modality`.
    """

    def of(tag, *elements):
        return sequence(tag, b"".join(element(*e, syntax) for e in elements), syntax=syntax)

    shared = of(0x00209116, (0x00200037, "DS", "1\\0\\0\\0\\1\\0")) + of(
        0x00289110, (0x00180050, "DS", "5"), (0x00280030, "DS", "0.8\\0.7")
    )
    frames = [
        of(0x00209113, (0x00200032, "DS", f"-10\\20\\{z}"))
        + of(0x00289145, (0x00281052, "DS", intercept), (0x00281053, "DS", "1"))
        + of(0x00089124, (0x00200032, "DS", "9\\9\\9"))  # of the images that the frame was derived from
        for z, intercept in zip(zs, intercepts or ["-1024"] * len(zs), strict=True)
    ]  # fmt: skip
    elements = [
        (0x00080060, "CS", said.get("modality", "")),
        (0x0020000E, "UI", series), (0x00280002, "US", 1), (0x00280008, "IS", str(len(pixels))),
        (0x00280010, "US", pixels.shape[1]),
        (0x00280011, "US", pixels.shape[2]), (0x00280100, "US", 16), (0x00280101, "US", 16),
        (0x00280102, "US", 15),
        (0x00280103, "US", 1),
    ]  # fmt: skip
    body = b"".join(element(*e, syntax) for e in elements)
    body += sequence(0x52009229, shared, syntax=syntax) + sequence(
        0x52009230, *frames[:described], syntax=syntax
    )
    body += element(0x7FE00010, "OW", pixels.astype("<i2").tobytes(), syntax)
    return start(syntax, said.get("sop_class", "")) + body
