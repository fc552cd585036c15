"""Cut the images of this folder out of the whole ones: `python tests/data/make.py FOLDER_OF_WHOLE_IMAGES`.

Run once; kept to say exactly what was cut. Voxel values, types on disk, spacing, direction and place in the
world are those of the source.
"""

import gzip
import shutil
import sys
import tempfile
from pathlib import Path

import SimpleITK as sitk

HERE = Path(__file__).parent

# Name: first voxel and voxels after the last, along x, y and z of the file.
CROPS = {
    "ct_abdomen/ct_0000.nii.gz": ((0, 0, 84), (122, 97, 104)),
    "ct_abdomen/labels.nii.gz": ((0, 0, 84), (122, 97, 104)),
    "ct_sarcoma/STS_002/ct_0000.nii.gz": ((52, 50, 20), (100, 90, 28)),
    "mr_abdomen/mr_0000.nii.gz": ((20, 10, 6), (84, 74, 14)),
    "ct_slab_dicom/labels.nii.gz": ((224, 272, 4), (320, 368, 8)),
}
THINNED = ("label_maps/ts_s0327_label13.nii.gz", "label_maps/ts_s0328_label13.nii.gz")
SERIES = ("ct_slab_dicom/series", (224, 144, 4), (320, 240, 8))
KEPT_TAGS = (
    "0008|0008", "0008|0016", "0008|0060", "0018|0050", "0018|0060", "0018|5100", "0020|0012", "0020|0013",
    "0020|0032", "0020|0037", "0028|1050", "0028|1051", "0028|1052", "0028|1053", "0028|1054",
)  # fmt: skip
"""What says how a slice is read and where it lies. Names of devices, places and days stay behind."""
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT_UID = "2.25.271828182845904523536"


def write(image: sitk.Image, path: Path) -> None:
    """Write NIfTI as small as gzip can, with no time stamp, so that the same voxels are the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "image.nii"
        sitk.WriteImage(image, str(plain))
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
            packed.write(plain.read_bytes())


def cut_images(whole: Path) -> None:
    for name, (start, stop) in CROPS.items():
        image = sitk.ReadImage(str(whole / name))
        write(image[tuple(map(slice, start, stop))], HERE / name)


def thin_label_maps(whole: Path) -> None:
    """Every second voxel, counted from where the canonical (LPS) axes begin."""
    for name in THINNED:
        image = sitk.ReadImage(str(whole / name))
        stored = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(image.GetDirection())
        canonical = sitk.DICOMOrient(image, "LPS")[::2, ::2, ::2]
        write(sitk.DICOMOrient(canonical, stored), HERE / name)


def cut_series(whole: Path) -> None:
    """Slices with fewer rows and columns, packed by JPEG 2000 without loss, as the whole ones are."""
    name, (x, y, first), (x_end, y_end, end) = SERIES
    reader = sitk.ImageSeriesReader()
    files = reader.GetGDCMSeriesFileNames(str(whole / name))[first:end]
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    for number, file in enumerate(files):
        image = sitk.ReadImage(file)
        part = image[x:x_end, y:y_end, :]
        for key in part.GetMetaDataKeys():
            part.EraseMetaData(key)
        for key in KEPT_TAGS:
            if image.HasMetaDataKey(key):
                part.SetMetaData(key, image.GetMetaData(key))
        part.SetMetaData("0020|0032", "\\".join(f"{place:.10g}" for place in part.GetOrigin()))
        part.SetMetaData("0008|0016", CT_STORAGE)
        part.SetMetaData("0008|0020", "20000101")
        part.SetMetaData("0008|0030", "000000")
        part.SetMetaData("0008|0018", f"{ROOT_UID}.1.{number + 1}")
        part.SetMetaData("0020|000d", f"{ROOT_UID}.2")
        part.SetMetaData("0020|000e", f"{ROOT_UID}.3")
        writer.SetFileName(str(HERE / name / f"slice_{first + number:03d}.dcm"))
        writer.Execute(part)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    cut_images(source)
    thin_label_maps(source)
    cut_series(source)
