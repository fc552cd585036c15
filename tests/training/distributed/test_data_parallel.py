"""Two real processes with a batch of two compute what one does."""

import json

import pytest

from tests.training.distributed.processes import run_ranks

LOSSES = {
    "dice over the batch": {"terms": [{"kind": "dice", "batch": True}]},
    "dice of each patch": {"terms": [{"kind": "dice", "batch": False}]},
    "cross entropy over annotated voxels": {"terms": [{"kind": "cross_entropy"}], "partial": "ignore"},
    "all that counts": {
        "terms": [{"kind": "dice"}, {"kind": "focal"}, {"kind": "perimeter"}],
        "class_weights": {"kind": "adaptive"},
    },
}


@pytest.fixture(scope="module")
def processes():
    """What one process and each of two said of five steps with each of `LOSSES`."""
    document = json.dumps(list(LOSSES.values()))
    found = [run_ranks("tests.training.distributed.five_steps", world, document) for world in (1, 2)]
    return [said for ranks in found for said in ranks]


@pytest.fixture(scope="module")
def losses(processes):
    """For one process and for each of two: the five losses of each of `LOSSES`."""
    return [dict(zip(LOSSES, said["losses"], strict=True)) for said in processes]


def test_no_thread_outlives_the_group(processes):
    """One that does may end the process with an abort while Python shuts down."""
    assert [said["threads"] for said in processes] == [[], [], []]


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_give_the_losses_of_one(losses, name):
    alone, first, second = (ranks[name] for ranks in losses)
    assert len(alone) == 5
    assert alone[4] < alone[0]
    assert first == pytest.approx(alone, rel=2e-5)
    assert second == first
