"""What is left of a run without its last checkpoint: results of a long one, first steps of a killed one."""

import json

import pytest

from tests.training.checkpoints import write_checkpoint
from training.runs.lost_runs import refuse_lost_run
from training.runs.run import BEST, LAST, LOG
from training.training_errors import CheckpointError


def best_of_step_8(folder, every, steps, logged=8):
    """The best checkpoint of a run of so many steps, with checkpoints so often, and its log."""
    stopping = {"kind": "fixed_steps", "steps": steps}
    write_checkpoint(folder / BEST, checkpoint_every_steps=every, stopping=stopping)
    lines = [json.dumps({"step": step + 1, "loss": 1.0}) for step in range(logged)]
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
    ("every", "steps", "logged"),
    [(7, 1000, 8), (8, 1000, 9), (100, 8, 8), (100, 50, 50)],
    ids=["best after the first", "log after the first", "best at the end", "log at the end"],
)
def test_the_best_checkpoint_of_a_longer_run_may_not(tmp_path, every, steps, logged):
    best_of_step_8(tmp_path, every, steps, logged)
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
