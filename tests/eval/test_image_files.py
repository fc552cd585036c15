"""Reading image files: what is refused, and in which words."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.image_files import read_image
from eval.volumes import read_labels
from tests.eval.made import write

LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[1:3, 1:4, 2:5] = 7


def write_series(folder, uid: str, slices: int = 3):
    """A DICOM series of black slices."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(slices):
        part = sitk.Image((4, 4), sitk.sitkInt16)
        for tag, value in {
            "0008|0060": "CT",
            "0020|000e": uid,
            "0020|0013": str(z),
            "0020|0032": f"0\\0\\{z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid}-{z}.dcm"))
        writer.Execute(part)


@pytest.mark.parametrize(
    ("shape", "is_vector"),
    [((5, 6), False), ((2, 4, 5, 6), False), ((4, 5, 6, 3), True)],
    ids=["a slice", "over time", "colours"],
)
def test_only_one_three_dimensional_image_will_do(tmp_path, shape, is_vector):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros(shape, np.uint8), isVector=is_vector), str(path))
    with pytest.raises(JudgingError, match="three-dimensional"):
        read_image(path)


def test_folders_of_dicom_slices(tmp_path):
    write_series(tmp_path / "one", "1.2.3")
    assert read_image(tmp_path / "one").GetSize() == (4, 4, 3)
    write_series(tmp_path / "one", "1.2.4")
    with pytest.raises(JudgingError, match="2 DICOM series"):
        read_image(tmp_path / "one")
    (tmp_path / "none").mkdir()
    with pytest.raises(JudgingError, match="holds no DICOM series"):
        read_image(tmp_path / "none")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mha", "a"])
@pytest.mark.parametrize("content", [b"", b"none of this is an image"])
def test_files_that_are_no_images(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(JudgingError, match="cannot be read") as refused:
        read_image(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    path.unlink()
    with pytest.raises(JudgingError, match="no such file"):
        read_image(path)


@pytest.mark.parametrize("lost", [1, 10, 100])
def test_a_file_that_lacks_its_last_bytes_is_refused(tmp_path, lost):
    plain = write(tmp_path / "a.nii", LABELS)
    whole = plain.read_bytes()
    plain.write_bytes(whole[:-lost])
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress(whole[:-lost]))
    for path in (plain, packed):
        with pytest.raises(JudgingError, match="cannot be read"):
            read_labels(path)
