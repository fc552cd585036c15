"""The batch size of a run whose recipe leaves it to the memory of the device."""

from dataclasses import replace
from pathlib import Path

import torch

from training.data.batches import Batch
from training.distributed.ranks import Ranks
from training.optimization.optimizers import moments_of
from training.runs.batch_size import find_batch_size, with_margin
from training.runs.checkpoints import RunInfo
from training.runs.run import Run, trial_run
from training.runs.step import add_gradients

LARGEST_ON_CPU = 4
"""Patches of a process on a CPU: larger batches make no patch faster there."""


def largest_batch(info: RunInfo, device: torch.device, folder: Path, ranks: Ranks) -> int:
    """Patches of a step, over all processes, that fit into memory; at most one for each case.

    Raises:
        TrainingError: not even one patch fits.
    """
    # A run of its own, for the search leaves traces in running means; its weights are thrown away.
    run = trial_run(replace(info, batch_size=1), device, folder)
    most = max(1, len(info.cases) // ranks.world)
    largest = most if device.type == "cuda" else min(most, LARGEST_ON_CPU)
    with with_margin(device):
        found = find_batch_size(lambda size: _try_step(run, size), ranks, largest)
    return found * ranks.world


def _try_step(run: Run, size: int) -> None:
    """What a step of one process takes: what the optimizer remembers, activations, gradients."""
    recipe = run.info.recipe
    parameters = list(run.network.parameters())
    remembered = [torch.empty_like(one) for one in parameters for _ in moments_of(recipe.optimizer)]
    batch = Batch(
        images=torch.zeros(size, recipe.network.in_channels, *recipe.patch_zyx),
        target=torch.zeros(size, *recipe.patch_zyx, dtype=torch.uint8),
        annotated=torch.ones(size, len(recipe.channel_names), dtype=torch.bool),
    )
    try:
        add_gradients(run, batch)
        if run.device.type == "cuda":
            torch.cuda.synchronize(run.device)
    finally:
        run.optimizer.zero_grad(set_to_none=True)
        remembered.clear()
