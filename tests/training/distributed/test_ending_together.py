"""A signal ends all processes of a run after the same step, with a checkpoint of that."""

import os
import signal

import pytest
import yaml

from tests.training.distributed.processes import end_of_ranks
from tests.training.distributed.test_elastic import losses_of
from tests.training.tiny import DOCUMENT
from training.distributed.ending_together import EndTogether
from training.distributed.ranks import Ranks
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import LAST


class Two(Ranks):
    """The first of two processes; of the other one nothing is heard."""

    def find_max(self, value):
        return lambda: value

    def gather(self, item):
        return [item, 0]


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_ends_the_step_after_that_in_which_it_came():
    ending = EndTogether(Two(world=2))
    with ending:
        ending.ask()
        os.kill(os.getpid(), signal.SIGTERM)
        ending.leave_if_asked()
        assert ending.is_asked_of_any(Two(world=2))
        ending.ask()
        os.kill(os.getpid(), signal.SIGINT)  # The first one counts.
        with pytest.raises(SystemExit, match="143"):
            ending.leave_if_asked()
    os.kill(os.getpid(), signal.SIGTERM)  # Hinders nobody who has begun to leave.


def test_signals_are_those_of_the_program_before_the_first_step_and_after_the_last():
    before = signal.getsignal(signal.SIGTERM)
    with EndTogether(Two(world=2)) as ending:
        assert signal.getsignal(signal.SIGTERM) == before
        ending.ask()
        assert signal.getsignal(signal.SIGTERM) != before
        ending.leave_if_asked()
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_process_is_ended_as_any_program():
    with EndTogether() as ending:
        ending.ask()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


DATA_PARALLEL = {"sampling": {"batch_size": 2}, "stopping": {"kind": "fixed_steps", "steps": 8}}
PIPELINE = {
    **DATA_PARALLEL,
    "network": {"kind": "plain_unet", "features": [4, 8, 8], "strides": [[2, 2, 2]] * 2},
    "pipeline": {"stages": 2, "micro_batches": 2},
}


@pytest.mark.parametrize(
    ("fields", "number", "heard_by", "function", "heard_in", "step"),
    [
        (DATA_PARALLEL, signal.SIGTERM, "0,1", "training_step", 1, 3),
        pytest.param(DATA_PARALLEL, signal.SIGHUP, "1", "_validate", 3, 4, marks=pytest.mark.slow),
        pytest.param(PIPELINE, signal.SIGINT, "1", "training_step", 1, 3, marks=pytest.mark.slow),
        pytest.param(PIPELINE, signal.SIGTERM, "0", "_validate", 3, 4, marks=pytest.mark.slow),
    ],
)
def test_processes_leave_after_the_same_step_with_a_checkpoint(
    cubes, tmp_path, fields, number, heard_by, function, heard_in, step
):
    """The recipe writes no checkpoint before its end at step 8, and validates after steps 4 and 8."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({**DOCUMENT, **fields, "checkpoint_every_steps": 1000}))

    def call(output):
        words = ["train", str(recipe), "--data", str(cubes), "--validation", str(cubes), "--device", "cpu"]
        return [*words, "--precision", "fp32", "--threads", "1", "--output", str(tmp_path / output)]

    heard = (str(int(number)), heard_by, function, str(heard_in))
    first, second = end_of_ranks("tests.training.distributed.train_and_end", 2, *heard, *call("cut"))
    assert (first.code, second.code) == (128 + number, 128 + number), first.error + second.error
    line = f"; the last checkpoint is of step {step}: go on from it with --resume"
    assert first.error.splitlines()[-1].endswith(line)
    assert line not in second.error
    assert load_checkpoint(tmp_path / "cut" / LAST)[1].step == step
    resumed = end_of_ranks("training", 2, *call("cut"), "--resume")
    assert [one.code for one in resumed] == [0, 0], resumed[0].error + resumed[1].error
    whole = end_of_ranks("training", 2, *call("whole"))
    assert [one.code for one in whole] == [0, 0]
    assert losses_of(tmp_path / "cut") == losses_of(tmp_path / "whole")
