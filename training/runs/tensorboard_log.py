"""Scalars and pictures of a run for TensorBoard, in its folder `tensorboard`.

This module is imported only where they are written, since TensorBoard takes a second to import.
"""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.runs.overlay import overlay
from training.runs.watching import StepDone, Validated, Watcher

FOLDER = "tensorboard"


class TensorBoard(Watcher):
    """Writes what happens as TensorBoard's events.

    Args:
        run_folder: of the run.
        first: steps done; what an earlier, interrupted run wrote of later ones is hidden.
    """

    def __init__(self, run_folder: Path, first: int) -> None:
        self._writer = SummaryWriter(run_folder / FOLDER, purge_step=first + 1)

    def step(self, done: StepDone) -> None:
        """Loss, learning rate and what the device waited for."""
        scalars = {
            "loss": done.loss,
            "learning rate": done.learning_rate,
            "waited for data (s)": done.waited_s,
        }
        for name, value in scalars.items():
            self._writer.add_scalar(f"training/{name}", value, done.step)

    def validation(self, found: Validated) -> None:
        """Dice, and truth and prediction over the first case."""
        for name, value in {"mean": found.mean_dice, **found.dice}.items():
            self._writer.add_scalar(f"Dice/{name}", value, found.step)
        if found.seen is not None:
            self._writer.add_image(
                f"truth and prediction/{found.seen.name}", overlay(found.seen), found.step, dataformats="HWC"
            )
        self._writer.flush()

    def close(self) -> None:
        """Write what is not yet on the disk."""
        self._writer.close()
