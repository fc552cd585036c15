"""Results of a run that cannot go on, since its `last.safetensors` is gone: no other run may remove them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.runs.checkpoints import load_checkpoint
from training.runs.log import read_log
from training.runs.run import timetable_of
from training.runs.run_files import BEST, LAST, LOG, kept_checkpoints
from training.training_errors import CheckpointError, NoCheckpointError


def refuse_lost_run(folder: Path) -> None:
    """Nothing if a run that starts in a folder removes no result of an earlier one.

    What a run leaves that was killed before it first wrote `last.safetensors` is none: a log, and the best
    checkpoint of its first steps. One that had been validated after its last step is a result, though, even
    where the run was killed before it wrote the other.

    Raises:
        CheckpointError: `last.safetensors` is gone, and other checkpoints are there.
    """
    if (folder / LAST).exists():
        return
    found = kept_checkpoints(folder) or [folder / BEST] * _is_of_a_run_with_checkpoints(folder)
    if found:
        raise CheckpointError(
            f"{folder}: holds {found[0].name} of a run whose {LAST} is gone, and a new run would remove it; "
            f"choose another --output, move the folder elsewhere, or remove {found[0].name}"
        )


def _is_of_a_run_with_checkpoints(folder: Path) -> bool:
    """Whether the best checkpoint is that of a run that once wrote its last one.

    It is told by the steps that the checkpoint or the log has: more than there are before the first
    checkpoint, or all of the run's, the last validation included. A checkpoint that cannot be read is not
    what a killed run leaves.
    """
    try:
        info = load_checkpoint(folder / BEST)[1]
    except NoCheckpointError:
        return False
    except CheckpointError:
        return True
    logged = read_log(folder / LOG) if (folder / LOG).is_file() else []
    reached = max([info.step, *(int(entry["step"]) for entry in logged)])
    if reached > info.recipe.checkpoint_every_steps:
        return True
    steps = timetable_of(info).steps
    return reached >= steps and not _lacks_last_best(logged, info.step, steps)


def _lacks_last_best(logged: Sequence[Mapping[str, Any]], best: int, steps: int) -> bool:
    """Whether a run of so many steps was ended before the last validation, or before that wrote the best."""
    validated = [entry for entry in logged if "mean_dice" in entry]
    if not validated or validated[-1]["step"] < steps:
        return bool(logged) and best < steps
    # The first of those that are the highest, as the run itself takes it.
    return bool(max(validated, key=lambda entry: entry["mean_dice"])["step"] != best)
