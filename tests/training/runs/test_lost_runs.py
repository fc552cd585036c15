"""What is left of a run without its last checkpoint: results of a long one, first steps of a killed one."""

import json

import pytest

from tests.training.checkpoints import write_checkpoint
from training.runs.lost_runs import refuse_lost_run
from training.runs.run_files import BEST, LAST, LOG
from training.training_errors import CheckpointError


def best_of_step_8(folder, every, steps, logged=8, dice=None):
    """The best checkpoint of a run of so many steps, with checkpoints so often, and its log.

    `dice` says after which steps it was validated, and what the mean Dice was then.
    """
    stopping = {"kind": "fixed_steps", "steps": steps}
    write_checkpoint(folder / BEST, checkpoint_every_steps=every, stopping=stopping)
    lines = [json.dumps({"step": step + 1, "loss": 1.0}) for step in range(logged)]
    lines += [json.dumps({"step": step, "mean_dice": mean}) for step, mean in (dice or {}).items()]
    (folder / LOG).write_text("\n".join(lines))


def test_an_empty_folder_holds_nothing(tmp_path):
    refuse_lost_run(tmp_path)
    refuse_lost_run(tmp_path / "nowhere")


@pytest.mark.parametrize(("every", "logged"), [(9, 8), (100, 50), (8, 8)])
def test_what_a_run_leaves_that_was_killed_before_its_first_checkpoint_may_be_removed(
    tmp_path, every, logged
):
    """The last of these was killed when its first checkpoint was due."""
    best_of_step_8(tmp_path, every, steps=1000, logged=logged)
    refuse_lost_run(tmp_path)


@pytest.mark.parametrize(
    "dice",
    [{}, {8: 0.5}, {8: 0.5, 50: 0.6}],
    ids=["without validations", "before the last one", "before the best of the last one"],
)
def test_so_may_what_one_leaves_that_was_killed_after_its_last_step(tmp_path, dice):
    """Of 50 steps, without a checkpoint before the end: the best one of step 8 is not its result."""
    best_of_step_8(tmp_path, every=100, steps=50, logged=50, dice=dice)
    refuse_lost_run(tmp_path)


@pytest.mark.parametrize(
    ("every", "steps", "logged", "dice"),
    [
        (7, 1000, 8, {}),
        (8, 1000, 9, {}),
        (100, 8, 8, {}),
        (100, 8, 8, {8: 0.5}),
        (100, 50, 50, {8: 0.5, 50: 0.4}),
        (100, 50, 50, {8: 0.5, 50: 0.5}),
    ],
    ids=[
        "best after the first",
        "log after the first",
        "best at the end",
        "best and validation at the end",
        "validated at the end, best before",
        "validated at the end, the same before",
    ],
)
def test_the_best_checkpoint_of_a_longer_run_may_not(tmp_path, every, steps, logged, dice):
    best_of_step_8(tmp_path, every, steps, logged, dice)
    with pytest.raises(CheckpointError, match=r"holds best\.safetensors of a run whose last\.safetensors is"):
        refuse_lost_run(tmp_path)
    (tmp_path / LAST).touch()
    refuse_lost_run(tmp_path)


def test_a_best_checkpoint_without_a_log_speaks_for_itself(tmp_path):
    best_of_step_8(tmp_path, every=7, steps=1000)
    (tmp_path / LOG).unlink()
    with pytest.raises(CheckpointError, match=r"holds best\.safetensors"):
        refuse_lost_run(tmp_path)


@pytest.mark.parametrize("name", [BEST, "step-000300.safetensors"])
def test_neither_may_what_is_kept_for_good_or_cannot_be_read(tmp_path, name):
    (tmp_path / name).write_text("weights")
    with pytest.raises(CheckpointError, match=f"holds {name} of a run"):
        refuse_lost_run(tmp_path)
