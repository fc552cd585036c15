import json

import pytest
import SimpleITK as sitk
import torch

from model.onnx_export import memory
from tests.places import FAKE_MEMORY_PROGRAM
from tests.training.phantom.bodies.blocks import IDS, SPACING, block_labels
from tests.training.tiny import write_dataset


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks of a few thousand weights are faster on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fake_memory_program(monkeypatch):
    """Measuring takes seconds and is the engine's to test."""
    monkeypatch.setattr(memory, "PROGRAM", FAKE_MEMORY_PROGRAM)


@pytest.fixture(scope="session")
def cubes(tmp_path_factory):
    """A data set of two small cases."""
    return write_dataset(tmp_path_factory.mktemp("cubes"))


@pytest.fixture
def maps(tmp_path):
    """A folder with the map of one body."""
    folder = tmp_path / "maps"
    folder.mkdir()
    image = sitk.GetImageFromArray(block_labels())
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(folder / "blocks.nii.gz"))
    (folder / "structures.json").write_text(json.dumps(IDS))
    return folder
