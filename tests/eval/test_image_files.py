"""Reading image files: what is refused, and in which words."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from eval import image_files
from eval.eval_errors import JudgingError
from eval.image_files import read_image, stored_size
from eval.volumes import read_labels
from tests.eval.made import write, write_claim

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


@pytest.fixture
def unread(monkeypatch):
    """A test fails where the voxels of a file are read: memory for them would be taken."""

    def read(*_):
        raise AssertionError("voxels are read")

    monkeypatch.setattr(image_files.sitk, "ReadImage", read)


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path, unread):
    """3 375 000 000 voxels of a byte and 352 bytes of header are stated, 1352 bytes are there."""
    path = write_claim(tmp_path / "a.nii.gz", (1500, 1500, 1500), held=1000)
    with pytest.raises(JudgingError, match="it holds 1352 of 3375000352 bytes"):
        read_labels(path)
    assert stored_size(path) == (1500, 1500, 1500)


def test_what_is_no_volume_is_refused_by_its_header(tmp_path, unread):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 4, 5, 6), np.uint8), isVector=False), str(path))
    with pytest.raises(JudgingError, match=r"has size \(6, 5, 4, 2\)"):
        read_image(path)


def test_bytes_beyond_the_voxels_are_not_unpacked(tmp_path, monkeypatch):
    """8 MB behind 120 voxels: a reader that has 472 bytes stops in the first part of 128 KiB."""
    whole = gzip.decompress(write_claim(tmp_path / "a.nii.gz", (6, 5, 4)).read_bytes())
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(whole + bytes(2**23)))
    assert image_files._bytes_in_gzip(path, len(whole)) == 2**17
    assert read_image(path).GetSize() == (6, 5, 4)


def test_damage_that_only_the_checksum_shows_is_found(tmp_path):
    """Stored uncompressed, a voxel of another value unpacks without a fault; ITK reads the header alone."""
    whole = gzip.decompress(write_claim(tmp_path / "a.nii.gz", (100, 100, 30)).read_bytes())
    packed = bytearray(gzip.compress(whole, compresslevel=0))
    packed[-20] ^= 1
    path = tmp_path / "b.nii.gz"
    path.write_bytes(bytes(packed))
    with pytest.raises(JudgingError, match="damaged or cut short"):
        read_image(path)
