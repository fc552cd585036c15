"""Thousands of files with flipped bits: no crash, no hang, no wrong geometry.

A mutated file is either refused in one line, or read. What is read without a warning has the geometry that
SimpleITK reads from the same file, where SimpleITK reads it at all.
"""

import gzip
import random

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import InputError
from inference.imaging.reading import read_volume
from tests.inference.dicom_files import EXPLICIT, IMPLICIT, deflated, enhanced
from tests.inference.images import voxels, write_nifti2, write_series

SEEDS = {".nii": 1500, ".mha": 800, ".nrrd": 800}
VOXEL_BYTES = voxels().nbytes


def mutated(data, seed, end):
    """Up to eight bytes before `end` flipped in one bit, or replaced."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(end)
        changed[at] = chance.choice((changed[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 255))
    return bytes(changed)


def read_or_none(path):
    """The volume, or None if the file was refused by name."""
    try:
        return read_volume(path)
    except InputError as error:
        refusal = str(error)
    assert refusal.startswith(str(path))
    return None


def is_where_simpleitk_has_it(volume, path):
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        return True
    geometry = volume.geometry
    return (
        image.GetSize()[::-1] == geometry.size_zyx
        and np.allclose(image.GetSpacing()[::-1], geometry.spacing_zyx_mm, rtol=1e-4)
        and np.allclose(image.GetOrigin(), geometry.origin_xyz_mm, rtol=1e-4, atol=1e-3)
        and np.allclose(image.GetDirection(), geometry.direction, atol=1e-3)
    )


@pytest.fixture(autouse=True)
def quiet_itk():
    sitk.ProcessObject.SetGlobalWarningDisplay(False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("suffix", SEEDS)
def test_headers(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    image = sitk.GetImageFromArray(voxels())
    image.SetSpacing((2, 3, 4))
    image.SetOrigin((1, 2, 3))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    original = path.read_bytes()
    outcomes = {"refused": 0, "read": 0}
    elsewhere = []
    for seed in range(SEEDS[suffix]):
        path.write_bytes(mutated(original, seed, len(original) - VOXEL_BYTES))
        volume = read_or_none(path)
        outcomes["refused" if volume is None else "read"] += 1
        if volume is not None and not volume.warnings and not is_where_simpleitk_has_it(volume, path):
            elsewhere.append(seed)
    assert elsewhere == []
    assert min(outcomes["refused"], outcomes["read"]) > SEEDS[suffix] / 20, (
        "the mutations are too strong or too weak to say anything"
    )


@pytest.mark.timeout(300)
def test_packed_streams(tmp_path):
    """A flipped bit in a gzip stream is noticed by its checksum.

    In its first ten bytes it may be without effect.
    """
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(path))
    original, array = path.read_bytes(), voxels()
    packed = gzip.compress(gzip.decompress(original), mtime=0)
    for seed in range(500):
        path.write_bytes(mutated(packed, seed, len(packed)))
        volume = read_or_none(path)
        assert volume is None or np.array_equal(volume.array, array)


@pytest.mark.timeout(300)
def test_truncations(tmp_path):
    """A file cut anywhere is refused."""
    for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
        path = tmp_path / f"image{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(path))
        original = path.read_bytes()
        for length in range(0, len(original), 7):
            path.write_bytes(original[:length])
            assert read_or_none(path) is None, (suffix, length)


@pytest.mark.timeout(300)
def test_dicom_slices(tmp_path):
    folder = write_series(tmp_path / "series", [(0.0, 0.0, 3.0 * i) for i in range(3)])
    path = folder / "1_001.dcm"
    original = path.read_bytes()
    whole = 0
    for seed in range(600):
        path.write_bytes(mutated(original, seed, len(original) - 24))
        volume = read_or_none(folder)
        if volume is not None and not volume.warnings:
            whole += volume.geometry.size_zyx == (3, 3, 4)
            assert volume.geometry.size_zyx == (3, 3, 4), seed
    assert whole > 60


def read_of_mutations(path, end):
    """How many of 800 mutations of a file are read; none of them holds more voxels than it did."""
    original, voxels_held = path.read_bytes(), read_volume(path).array.size
    read = 0
    for seed in range(800):
        path.write_bytes(mutated(original, seed, end))
        volume = read_or_none(path)
        read += volume is not None
        assert volume is None or volume.array.size <= voxels_held, seed
    return read


@pytest.mark.timeout(300)
def test_deflated_dicom(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(deflated(np.arange(12, dtype=np.int16).reshape(3, 4)))
    assert 80 < read_of_mutations(path, path.stat().st_size) < 720


@pytest.mark.timeout(300)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_enhanced_dicom(tmp_path, syntax):
    pixels = np.arange(18, dtype=np.int16).reshape(3, 2, 3)
    path = tmp_path / "a.dcm"
    path.write_bytes(enhanced(pixels, (0, 3, 6), syntax))
    assert 80 < read_of_mutations(path, path.stat().st_size - pixels.nbytes) < 720


@pytest.mark.timeout(300)
def test_nifti_2(tmp_path):
    assert 80 < read_of_mutations(write_nifti2(tmp_path / "a.nii", voxels()), 544) < 720
