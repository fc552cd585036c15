import pytest
import torch

from tests.training.tiny import write_dataset


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks of a few thousand weights are faster on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cubes(tmp_path_factory):
    """A data set of two small cases."""
    return write_dataset(tmp_path_factory.mktemp("cubes"))
