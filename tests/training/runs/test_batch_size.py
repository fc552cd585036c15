"""The search for the largest batch, on devices whose memory is made up."""

import pytest
import torch

from training.distributed.ranks import ALONE, Ranks
from training.runs.batch_size import find_batch_size, with_margin
from training.training_errors import TrainingError


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Made-up devices give back nothing, and collecting takes long in a process that ran many tests."""
    monkeypatch.setattr("training.runs.batch_size.gc.collect", lambda: 0)


class Device:
    """Has room for so many patches, and remembers what was tried."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        self.room, self.error, self.tried = room, error, []

    def step(self, size):
        self.tried.append(size)
        if size > self.room:
            raise self.error("DefaultCPUAllocator: not enough memory")


def test_sizes_are_doubled_then_the_gap_is_bisected():
    device = Device(11)
    assert find_batch_size(device.step, ALONE, 100) == 11
    assert device.tried == [1, 2, 4, 8, 16, 12, 10, 11]


@pytest.mark.parametrize("room", range(1, 20))
def test_the_largest_that_fits_is_found(room):
    assert find_batch_size(Device(room).step, ALONE, 64) == room


def test_the_search_ends_at_the_largest_that_is_asked_for():
    device = Device(1000)
    assert find_batch_size(device.step, ALONE, 6) == 6
    assert device.tried == [1, 2, 4, 6]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_every_way_of_running_out_of_memory_is_known(error):
    assert find_batch_size(Device(3, error).step, ALONE, 64) == 3


def test_other_errors_are_no_lack_of_memory():
    def step(size):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        find_batch_size(step, ALONE, 4)


def test_a_device_without_room_for_one_patch_is_refused():
    with pytest.raises(TrainingError, match="not even a batch of one patch"):
        find_batch_size(Device(0).step, ALONE, 4)


def test_what_fails_on_another_process_has_failed(monkeypatch):
    """The other process has room for 5."""
    here = Device(11)
    monkeypatch.setattr(Ranks, "min", lambda self, fitted: min(fitted, int(here.tried[-1] <= 5)))
    assert find_batch_size(here.step, Ranks(rank=0, world=2), 64) == 5
    assert here.tried == [1, 2, 4, 8, 6, 5]


def test_the_margin_is_kept_during_the_search_and_given_back(monkeypatch):
    shares = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: shares.append(share)
    )

    def room():
        """Of 12 patches' memory, what is not out of bounds."""
        return int(12 * (shares or [1.0])[-1])

    with with_margin(torch.device("cpu"), 0.25):
        assert find_batch_size(Device(room()).step, ALONE, 64) == 12
    with with_margin(torch.device("cuda"), 0.25):
        assert find_batch_size(Device(room()).step, ALONE, 64) == 9
    assert shares == [0.75, 1.0]
