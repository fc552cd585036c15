"""Odd and bad images by their rows in docs/input.md: how each is made, and what is said of it."""

import gzip
import shutil

import numpy as np
import SimpleITK as sitk

from tests.inference.bundles import abdomen, hu
from tests.inference.dicom_files import (
    DEFLATED,
    DIRECTORY,
    HTJ2K,
    JPEG_LOSSLESS,
    deflated,
    dicom,
    element,
    enhanced,
    packed_junk,
    segmentation,
    start,
)
from tests.inference.images import nifti_header, voxels, write_nifti, write_nifti2, write_series

SPACING = (1.0, 1.5, 2.5)
SROW = (-1.0, 0, 0, 10, 0, -1.5, 0, 20, 0, 0, 2.5, 30)
CT = hu(abdomen())
NAME = "case.nii.gz"


def nifti(array=CT, name=NAME, spacing=SPACING, **changes):
    return lambda folder: write_nifti(folder / name, array, spacing=spacing, **changes)


def series(*runs, **options):
    def write(folder):
        for number, positions in enumerate(runs, start=1):
            write_series(folder / "case", positions, uid=f"1.2.3.{number}", number=number, **options)

    return write


def straight(count, step=3.0, lean=0.0):
    return [(0.0, lean * i, step * i) for i in range(count)]


def odd_voxels():
    array = CT.astype(np.float32)
    array[0, 0, :4] = np.nan, -np.inf, np.inf, np.nan
    return array


def noise(*size):
    return np.random.default_rng(0).integers(0, 300, size).astype(np.int16)


def padded():
    array = CT.copy()
    array[:, :5], array[:, -5:] = -3024, 3071
    return array


def link(folder):
    (folder.parent / "elsewhere").mkdir()
    write_nifti(folder.parent / "elsewhere" / "original.nii.gz", CT, spacing=SPACING)
    (folder / NAME).symlink_to(folder.parent / "elsewhere" / "original.nii.gz")


def dicom_file(content):
    def write(folder):
        (folder / "case").mkdir()
        (folder / "case" / "1.dcm").write_bytes(content)

    return write


def deflated_slices(folder):
    (folder / "case").mkdir()
    for z, plane in enumerate(CT):
        (folder / "case" / f"{z}.dcm").write_bytes(deflated(plane + 1024, z=2.5 * z))


def dicom_slices(of_all=None, **of_one):
    """Four slices; what is said of all of them, and of the third alone."""

    def write(folder):
        (folder / "case").mkdir()
        for i in range(4):
            said = (of_all or {}) | (of_one if i == 2 else {})
            content = dicom(CT[5 + i] + 1024, z=3.0 * i, **said)
            (folder / "case" / f"{i}.dcm").write_bytes(content)

    return write


def dicom_mpr(folder):
    """Eight original slices, and nine made of them."""
    (folder / "case").mkdir()
    for name, count, kind in (("a", 8, "ORIGINAL\\PRIMARY"), ("b", 9, "DERIVED\\SECONDARY\\REFORMATTED")):
        extra = element(0x00080008, "CS", kind) + element(0x0008103E, "LO", f"series {name}")
        for i in range(count):
            content = dicom(CT[i] + 1024, z=3.0 * i, extra=extra)
            uid = element(0x0020000E, "UI", f"1.2.{ord(name)}")
            content = content.replace(element(0x0020000E, "UI", "1.2.3"), uid)
            (folder / "case" / f"{name}{i}.dcm").write_bytes(content)


def dicom_below(folder):
    write_series(folder / "case" / "series 1", straight(4))


def dicom_twice(folder):
    write_series(folder / "case", straight(4))
    shutil.copy(folder / "case" / "1_002.dcm", folder / "case" / "1_002 (1).dcm")


def dicom_disc(folder):
    """A directory of files beside the folder that holds them, as on a CD."""
    write_series(folder / "case" / "IMAGES", straight(4))
    (folder / "case" / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))


def dicom_beside(folder):
    write_series(folder / "case", straight(4))
    (folder / "case" / "case.seg.dcm").write_bytes(segmentation())


def dicom_clip(folder):
    series(straight(4))(folder)
    clip = enhanced(np.zeros((2, 2, 3), np.int16), (0, 3), JPEG_LOSSLESS, series="1.2.3.2", modality="US")
    next(folder.iterdir()).joinpath("clip.dcm").write_bytes(clip)


def dicom_pet_and_ct(folder):
    write_series(folder / "case", straight(6), uid="1.2.3.1", number=1, modality="PT")
    write_series(folder / "case", straight(4), uid="1.2.3.2", number=2)


def sparse(name, *lines):
    """An image of the CT with the header that is given, its voxels after it."""

    def write(folder):
        text = "\n".join([*lines, ""]).encode()
        (folder / name).write_bytes(text + CT.astype("<i2").tobytes())

    return write


def nrrd(*lines):
    x, y, z = CT.shape[::-1]
    head = ("NRRD0004", "type: int16", "dimension: 3", f"sizes: {x} {y} {z}", "endian: little")
    return sparse("case.nrrd", *head, "encoding: raw", *lines, "")


# Row of docs/input.md: how the input is made, and what the warning says.
WORKS = {
    "axes not quite at right angles": (
        nifti(qform_code=0, srow=(-1, 0.05, 0, 10, 0, -1.5, 0, 20, 0, 0, 2.5, 30)),
        "not at right angles",
    ),
    "sform and qform disagree": (
        nifti(qoffset=(50, 20, 30)),
        "sform and qform disagree; the sform was taken",
    ),
    "sform not at right angles, qform is": (
        nifti(srow=(-1, 0.05, 0, 10, 0, -1.5, 0, 20, 0, 0, 2.5, 30)),
        "the qform was taken",
    ),
    "no sform and no qform": (nifti(qform_code=0, sform_code=0), "no orientation"),
    "spacing zero, sform right": (
        nifti(spacing=(0, 1.5, 2.5), srow=SROW),
        "that of the sform was taken: 1 × 1.5 × 2.5 mm",
    ),
    "spacing negative, sform right": (
        nifti(spacing=(-1, 1.5, 2.5), srow=SROW),
        "that of the sform was taken",
    ),
    "MetaImage with ElementSize alone": (
        sparse(
            "case.mha",
            *("ObjectType = Image", "NDims = 3", "DimSize = {2} {1} {0}".format(*CT.shape)),
            *("Offset = 0 0 0", "TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSize = 1 1.5 2.5"),
            *("ElementType = MET_SHORT", "ElementDataFile = LOCAL"),
        ),
        "no ElementSpacing in the header; ElementSize was taken",
    ),
    "NRRD without space directions": (
        nrrd("spacings: 1 1.5 2.5", "axis mins: 1 2 3"),
        "no orientation in the header",
    ),
    "lengths in metres": (
        nifti(
            spacing=(0.001, 0.0015, 0.0025),
            units=1,
            qoffset=(0.01, 0.02, 0.03),
            srow=[s / 1000 for s in SROW],
        ),
        None,
    ),
    "float64 voxels": (nifti(CT.astype(np.float64)), None),
    "unsigned voxels": (nifti((CT + 1024).astype(np.uint16), intercept=-1024), None),
    "slope and intercept": (nifti(((CT + 1024) // 2).astype(np.int16), slope=2, intercept=-1024), None),
    "big-endian file": (nifti(order=">"), None),
    "NIfTI-2 file": (lambda folder: write_nifti2(folder / NAME, CT, spacing=SPACING), None),
    "a fourth dimension of one": (nifti(ndim=4), None),
    "NaN or infinite voxels": (nifti(odd_voxels()), "voxels (less than 0.1 %) are NaN or infinite"),
    "padding of -3024 or 3071": (nifti(padded()), None),
    "one slice": (nifti(CT[5:6]), "has only 1 slice from feet to head"),
    "two slices": (nifti(CT[5:7]), "has only 2 slices"),
    "three slices": (nifti(CT[5:8]), "has only 3 slices"),
    "seven slices": (nifti(CT[4:11]), "has only 7 slices"),
    "a slab of less than 25 mm": (nifti(CT, spacing=(1, 1.5, 2.0)), "covers only 24 mm"),
    "eight slices of 60 mm": (nifti(CT[3:11], spacing=(1, 1.5, 7.5)), None),
    "slices of 0.3 mm": (nifti(np.repeat(CT, 8, axis=0), spacing=(1, 1.5, 0.3125)), None),
    "slices of 12 mm": (
        nifti(spacing=(1, 1.5, 12)),
        "its slices are 12.0 mm apart, the networks' own 2.5 mm",
    ),
    "DICOM with a tilted gantry": (series(straight(4, lean=1.0)), "gantry tilted by 18.4°"),
    "DICOM slices unevenly spaced": (series([*straight(3), (0, 0, 12)]), "3.00 to 6.00 mm apart"),
    "DICOM slices rescaled in several ways": (
        dicom_slices(intercept="-1000"),
        "1 of 4 slices (2.dcm) are rescaled otherwise than by 1 and -1024",
    ),
    "DICOM with a thickness that is no number": (
        dicom_slices(extra=element(0x00180050, "DS", "2,0")),
        "1 of 4 slices (2.dcm) have a SliceThickness that is no number; nothing was made of it",
    ),
    "DICOM with a rescale slope of 0": (
        dicom_slices({"slope": "0"}),
        "4 of 4 slices (0.dcm, 1.dcm and 2 more) have a rescale slope of 0; 1 was taken",
    ),
    "DICOM pixels that do not begin with the lowest bit": (
        dicom_slices(stored=12, high=15),
        "1 of 4 slices (2.dcm) have 12 bits a pixel that end at bit 15; they were shifted to bit 11",
    ),
    "DICOM slices that disagree otherwise": (
        dicom_slices(signed=0),
        "1 of 4 slices (2.dcm) store pixels as uint16, not as int16",
    ),
    "DICOM slices to be shown inverted": (
        dicom_slices(extra=element(0x00280004, "CS", "MONOCHROME1")),
        "1 of 4 slices (2.dcm) are to be shown inverted (MONOCHROME1)",
    ),
    "DICOM series with a slice that lies otherwise": (
        lambda folder: [
            write_series(folder / "case", straight(4)),
            write_series(
                folder / "case", [(0, 0, 50)], uid="1.2.3.1", orientation=(1, 0, 0, 0, 0, -1), number=9
            ),
        ],
        "1 of 5 slices (9_000.dcm) lie in another direction than the rest of their series",
    ),
    "DICOM folder with a second, shorter series": (
        series(straight(4), straight(2)),
        "2 DICOM series in one folder (4, 2 images)",
    ),
    "DICOM folder with an original series and a longer one made of it": (
        dicom_mpr,
        "(9 [series b], 8 [series a] images); the longest original [series a] was taken",
    ),
    "DICOM folder with a series of another modality": (
        dicom_pet_and_ct,
        "2 DICOM series in one folder (6 PT, 4 CT images); the longest CT was taken",
    ),
    "DICOM folder with a segmentation, a dose or a report": (
        dicom_beside,
        "1 DICOM file without an image was left out",
    ),
    "DICOM folder with compressed frames of another series": (
        dicom_clip,
        "clip.dcm, of another series or class, holds 2 frames of compressed pixels; left out",
    ),
    "DICOM with compressed pixels": (series(straight(4), size=(48, 64), compressor="JPEG2000"), None),
    "DICOM deflated": (deflated_slices, None),
    "enhanced DICOM, all slices in one file": (
        dicom_file(enhanced(CT + 1024, [2.5 * i for i in range(len(CT))])),
        None,
    ),
    "DICOM slice that is there twice": (dicom_twice, "1_002 (1).dcm is a copy of 1_002.dcm and was left out"),
    "DICOM folder one level down": (dicom_below, None),
    "DICOM folder with a DICOMDIR": (dicom_disc, "1 DICOM file without an image was left out"),
    "name with spaces and unicode": (nifti(name="Fall 7 – Mädchen 腹部.nii.gz"), None),
    "symbolic link to an image": (link, None),
    "no body in view": (nifti(np.full((8, 20, 20), -1000, np.int16)), "hardly any soft tissue"),
    "DICOM that is no CT": (series(straight(4), modality="MR"), "its modality is MR"),
    "values that are not in HU": (
        nifti(CT[:, :30] + 1024 + noise(12, 30, 48)),
        "neither air nor fat where a CT has them",
    ),
    "a label map": (nifti(abdomen()[:, :30].astype(np.int16)), "as a label map or a picture does"),
    "nothing that the model knows": (nifti(np.full((8, 20, 20), -250, np.int16)), None),
}
LARGE = {"512 x 512 x 2000 voxels": (2000, 512, 512), "1024 x 1024 pixels": (3, 1024, 1024)}


def packed(header, data=b"", name=NAME):
    def write(folder):
        (folder / name).write_bytes(gzip.compress(header + bytes(4) + data))

    return write


def raw(content, name=NAME):
    return lambda folder: (folder / name).write_bytes(content)


def cut(suffix):
    def write(folder):
        path = folder / f"case{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(CT), str(path), suffix.endswith("gz"))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 60 if suffix.endswith("gz") else len(data) - 2000])

    return write


def corrupt(folder):
    data = bytearray(write_nifti(folder / NAME, CT).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / NAME).write_bytes(data)


def lonely_header(folder):
    sitk.WriteImage(sitk.GetImageFromArray(CT), str(folder / "case.mhd"))
    (folder / "case.raw").unlink()


def vectors(folder):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.int16), isVector=True), str(folder / "case.mha")
    )


def damaged_slice(folder):
    write_series(folder / "case", straight(4))
    path = folder / "case" / "1_002.dcm"
    path.write_bytes(path.read_bytes()[:400])


REFUSED = {
    "empty file": (raw(b""), "is empty (0 bytes)"),
    "text named .nii.gz": (raw(b"Patient 7, see the other folder. " * 20), "is not a NIfTI image"),
    "truncated .nii.gz": (cut(".nii.gz"), "is truncated"),
    "truncated .nii": (cut(".nii"), "is truncated"),
    "truncated .mha": (cut(".mha"), "is truncated"),
    "truncated .nrrd": (cut(".nrrd"), "is truncated"),
    "nothing but NaN": (nifti(np.full_like(CT, np.nan, np.float32)), "every voxel is NaN or infinite"),
    "corrupt .nii.gz": (corrupt, "compressed data are damaged"),
    "more voxels than the header says": (
        nifti(voxels((5, 6, 7)), size_xyz=(5, 6, 5)),
        "more voxels than its header says",
    ),
    "2D image": (packed(nifti_header((5, 6)), bytes(60)), "2D image (5 × 6)"),
    "4D image": (packed(nifti_header((5, 6, 7, 2)), bytes(840)), "4D image (5 × 6 × 7 × 2)"),
    "NRRD with axis mins and maxs, without spacings": (
        nrrd("axis mins: 1 2 3", "axis maxs: 49 62 33"),
        "axis mins and maxs without spacings",
    ),
    "RGB image": (packed(nifti_header(dtype=128), bytes(630)), "colour image"),
    "vector .mha": (vectors, "colour or vector image"),
    "header without its file of voxels": (lonely_header, "case.raw beside it, which is not there"),
    "header that claims terabytes": (
        packed(nifti_header((30_000, 30_000, 30_000), spacing=(0.05, 0.05, 0.05)), bytes(420)),
        "claims 54,000,000,000,000 bytes",
    ),
    "spacing zero, no sform": (nifti(spacing=(1, 0, 2), sform_code=0), "set a spacing above 0"),
    "spacing that no CT has": (
        nifti(np.repeat(CT, 4, axis=0), spacing=(1, 1, 900)),
        "field of view of 0.048 × 0.04 × 43 m",
    ),
    "spacing ten times too large": (
        nifti(np.zeros((30, 512, 4), np.int16), spacing=(7, 7, 25)),
        "field of view of 0.028 × 3.6 × 0.75 m",
    ),
    "singular sform": (nifti(qform_code=0, srow=(0,) * 12), "no usable orientation"),
    "header of a two-file image": (nifti(magic=b"ni1\0"), "two-file image"),
    "broken link": (lambda folder: (folder / NAME).symlink_to(folder / "nowhere"), "No such file"),
    "folder named like an image": (lambda folder: (folder / NAME).mkdir(), "holds no DICOM images"),
    "damaged DICOM slice": (damaged_slice, "1_002.dcm: is damaged"),
    "deflated DICOM that is damaged": (
        dicom_file(dicom(np.zeros((2, 3), np.int16), DEFLATED)),
        "its deflated part is damaged",
    ),
    "DICOM compressed in a way that is not read": (
        dicom_file(dicom(np.zeros((2, 3), np.int16), HTJ2K)),
        "convert the series to one .nii.gz",
    ),
    "DICOM with compressed pixels that are shown inverted": (
        dicom_file(
            dicom(np.zeros((2, 3), np.int16), JPEG_LOSSLESS, extra=element(0x00280004, "CS", "MONOCHROME1"))
        ),
        "export the series again without compression",
    ),
    "DICOM whose compressed pixels are damaged": (dicom_file(packed_junk()), "its pixels cannot be unpacked"),
    "enhanced DICOM with compressed frames": (
        dicom_file(enhanced(np.zeros((2, 2, 3), np.int16), (0, 3), JPEG_LOSSLESS)),
        "holds 2 frames of compressed pixels",
    ),
    "DICOM with two series of one length": (
        series(straight(3), straight(3)),
        "holds 2 DICOM series (3, 3 images)",
    ),
    "DICOM series with slices of two patients": (
        dicom_slices({"extra": element(0x00100020, "LO", "p1")}, extra=element(0x00100020, "LO", "p2")),
        "holds slices of 2 patients as one series (0.dcm, 2.dcm, for example)",
    ),
    "DICOM with several images at one place": (series([*straight(3), (0, 0, 6)]), "lie at the same place"),
}
