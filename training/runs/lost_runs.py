"""Results of a run that cannot go on, since its `last.safetensors` is gone: no other run may remove them."""

from pathlib import Path

from training.runs.checkpoints import load_checkpoint
from training.runs.log import read_log
from training.runs.run import timetable_of
from training.runs.run_files import BEST, LAST, LOG, kept_checkpoints
from training.training_errors import CheckpointError, NoCheckpointError


def refuse_lost_run(folder: Path) -> None:
    """Nothing if a run that starts in a folder removes no result of an earlier one.

    What a run leaves that was killed before it first wrote `last.safetensors` is none: a log, and the best
    checkpoint of its first steps.

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
    checkpoint, or all of the run's. A checkpoint that cannot be read is not what a killed run leaves.
    """
    try:
        info = load_checkpoint(folder / BEST)[1]
    except NoCheckpointError:
        return False
    except CheckpointError:
        return True
    logged = read_log(folder / LOG) if (folder / LOG).is_file() else []
    reached = max([info.step, *(int(entry["step"]) for entry in logged)])
    return reached > info.recipe.checkpoint_every_steps or reached >= timetable_of(info).steps
