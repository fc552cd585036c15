"""What processes of one run tell each other; two real ones, over gloo."""

import pytest
import torch

from tests.training.distributed.processes import run_ranks
from training.distributed.data_parallel import joined, share_of_batch, without_exchange, wrap
from training.distributed.ranks import ALONE, Ranks, join
from training.training_errors import RecipeError, TrainingError


def test_two_processes_put_their_numbers_together():
    first, second = run_ranks("tests.training.distributed.collective_calls", 2)
    assert (first["rank"], first["first"], second["rank"], second["first"]) == (0, True, 1, False)
    for got in (first, second):
        # 1 + 2 and 10 + 10. The product's gradient is (20, 3) on each process, of which there are two: the
        # mean that data parallelism takes afterwards leaves (20, 3).
        assert got["sum"] == [3, 20]
        assert got["gradient"] == [40, 6]
        assert (got["mean"], got["min"], got["max"]) == (0.5, 4, 5)
        assert got["gather"] == ["rank 0", "rank 1"]
        assert got["joined"] == [0, 1, 4, 9, 16]
        assert got["average"] == [[0.5] * 4, [5.0]]
        assert got["from_last"] == [2]
    assert (first["collected"], second["collected"]) == ({"of 0": [0], "of 1": [1]}, {})
    assert (first["share"], second["share"]) == ([0, 2, 4], [1, 3])
    assert (first["batch"], second["batch"]) == ([0, 2], [1, 3])


def test_alone_every_operation_is_the_identity(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == ALONE
    tensor, network = torch.tensor([2.0], requires_grad=True), torch.nn.Linear(1, 1)
    assert ALONE.sum(tensor) is tensor
    assert (ALONE.mean(3.0), ALONE.min(3), ALONE.gather("me"), list(ALONE.share(3))) == (
        3.0,
        3,
        ["me"],
        [0, 1, 2],
    )
    assert joined({1: "b", 0: "a"}, ALONE) == ["a", "b"]
    assert wrap(network, ALONE, torch.device("cpu")) is network
    with without_exchange(network):
        pass


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(RecipeError, match="4 patches cannot be shared evenly among 3 processes"):
        share_of_batch(4, Ranks(rank=0, world=3))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match="process 2 of this machine has no GPU of its own, there are 1"):
        join("cuda")


def test_an_environment_without_an_address_is_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(TrainingError, match="rank 1 of 2: cannot reach the others"):
        join("cpu")
