"""Image files that are cut short while they are read: refused in one line.

Mapped into memory they would end the process by SIGBUS. DICOM is in `test_dicom.py`.
"""

import os

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import InputError
from inference.imaging.formats import voxels
from inference.imaging.formats.voxels import VoxelSink
from inference.imaging.reading import open_image

# Of incompressible noise, so that packed files are longer than what is read of them at a time.
NOISE = np.random.default_rng(0).integers(-1024, 3071, (8, 200, 200)).astype(np.int16)
KINDS = {
    ".nii": ("case.nii", "case.nii", False),
    ".nii.gz": ("case.nii.gz", "case.nii.gz", True),
    ".mha": ("case.mha", "case.mha", False),
    "packed .mha": ("case.mha", "case.mha", True),
    ".mhd": ("case.mhd", "case.raw", False),
    ".nrrd": ("case.nrrd", "case.nrrd", False),
    "packed .nrrd": ("case.nrrd", "case.nrrd", True),
    ".nhdr": ("case.nhdr", "case.raw", False),
}
"""Kind to the image, the file of its voxels, and whether they are packed."""


@pytest.fixture(params=KINDS)
def image(request, tmp_path):
    """An image whose header was read, and the file of its voxels."""
    name, data, packed = KINDS[request.param]
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(tmp_path / name), packed)
    return open_image(tmp_path / name), tmp_path / data


def test_before_its_voxels_are_read(image):
    opened, data = image
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(InputError, match=f"{data.name}: .*is truncated"):
        opened.read()


def test_while_its_voxels_are_read(image, monkeypatch):
    opened, data = image
    put = VoxelSink.put

    def cut_and_put(sink, start, *rest):
        if start == 0:
            os.truncate(data, data.stat().st_size // 2)
        put(sink, start, *rest)

    monkeypatch.setattr(voxels, "CHUNK_VOXELS", 10_000)
    monkeypatch.setattr(VoxelSink, "put", cut_and_put)
    with pytest.raises(InputError, match=f"{data.name}: .*is truncated"):
        opened.read()
