"""Real processes that share a network compute what one does that has the whole of it."""

import json

import pytest

from tests.training.distributed.pipeline_steps import STEPS, steps_of
from tests.training.distributed.processes import run_ranks
from training.distributed.ranks import ALONE

PLAIN = {
    "kind": "plain_unet",
    "features": [4, 8, 8],
    "strides": [[1, 2, 2], [2, 2, 2]],
    "deep_supervision": 2,
}
RESIDUAL = {"kind": "residual_unet", "features": [4, 8], "strides": [[2, 2, 2]], "encoder_blocks": [1, 2]}
SEGRESNET = {"kind": "segresnet", "init_filters": 4, "blocks_down": [1, 1, 1], "dsdepth": 2}
SEUNET = {"kind": "seunet", "init_filters": 8, "levels": 3, "deep_supervision": 2, "norm": "group"}
# Adam would turn the rounding of gradients that are 0 into steps of full size.
SGD = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}
LAMP = {
    "terms": [{"kind": "dice", "batch": True}, {"kind": "focal"}],
    "class_weights": {"kind": "adaptive"},
    "partial": "ignore",
}
SETTINGS = {
    "LAMP's loss over the batch, deep supervision": {
        "network": PLAIN,
        "loss": LAMP,
        "pipeline": {"micro_batches": 2},
    },
    "a loss of each patch, a micro-batch each": {
        "network": RESIDUAL,
        "loss": {"terms": [{"kind": "dice", "batch": False}, {"kind": "cross_entropy"}]},
        "pipeline": {"micro_batches": 4},
    },
    "MONAI's network, one micro-batch": {"network": SEGRESNET, "pipeline": {}},
    "group norm, accumulated gradients, averaged weights": {
        "network": SEUNET,
        "optimizer": {**SGD, "accumulate_steps": 2},
        "ema": {"decay": 0.9},
        "pipeline": {"micro_batches": 2},
    },
    "activations computed again, balanced by time": {
        "network": PLAIN,
        "activation_checkpointing": True,
        "pipeline": {"micro_batches": 2, "balance": "time"},
    },
}
DOCUMENTS = [{"optimizer": SGD, **fields} for fields in SETTINGS.values()]
BATCH_NORM = {
    "network": {**SEUNET, "norm": "batch"},
    "loss": LAMP,
    "optimizer": SGD,
    "pipeline": {},
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Losses and norm of the weights of each setting, and of batch norm, in this process."""
    folder = tmp_path_factory.mktemp("alone")
    return [steps_of(fields, ALONE, folder)[:2] for fields in [*DOCUMENTS, BATCH_NORM]]


def assert_same(processes, expected):
    for said in processes:
        for (losses, _, _), (of_one, _) in zip(said["found"], expected, strict=True):
            assert len(losses) == STEPS
            assert losses == pytest.approx(of_one, abs=1e-5)
    for (_, norm, _), (_, of_one) in zip(processes[0]["found"], expected, strict=True):
        assert norm == pytest.approx(of_one, rel=1e-5)
    assert [said["threads"] for said in processes] == [[]] * len(processes)


@pytest.mark.parametrize("stages", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_stages_give_the_losses_and_weights_of_one_process(alone, stages):
    """Batch norm too, as long as a batch is one micro-batch."""
    documents = json.dumps([*DOCUMENTS, BATCH_NORM])
    processes = run_ranks("tests.training.distributed.pipeline_steps", stages, documents)
    assert_same(processes, alone)
    report = processes[0]["found"][0][2]
    assert len(report) == stages + 1
    assert report[0].startswith(f"stage 1 of {stages}, encoder.0")
    assert report[-1].startswith("bubble measured ")
    # (2 - 1) / (2 + 2 - 1) and (3 - 1) / (2 + 3 - 1).
    expected = {2: "33%", 3: "50%"}[stages]
    assert report[-1].endswith(f"by the formula {expected} with M = 2")


@pytest.mark.slow
def test_two_stages_and_two_replicas_give_the_losses_and_weights_of_one_process(alone):
    documents = [{**fields, "pipeline": {**fields["pipeline"], "stages": 2}} for fields in DOCUMENTS]
    # A replica has two patches: as one, or in as many micro-batches.
    processes = run_ranks("tests.training.distributed.pipeline_steps", 4, json.dumps(documents))
    assert_same(processes, alone[:-1])
