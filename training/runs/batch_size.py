"""The largest batch that a device's memory takes, found by trying: of recipes that leave its size to that."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from training.data.batches import Batch
from training.distributed.ranks import Ranks
from training.optimization.optimizers import moments_of
from training.runs.checkpoints import RunInfo
from training.runs.run import Run, trial_run
from training.runs.step import add_gradients
from training.training_errors import TrainingError

MARGIN = 0.1
"""Share of a GPU's memory that a search leaves free: fragments and other programs come and go."""
LARGEST_ON_CPU = 4
"""Patches of a process on a CPU: larger batches make no patch faster there."""

logger = logging.getLogger(__name__)


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


def find_batch_size(try_step: Callable[[int], None], ranks: Ranks, largest: int) -> int:
    """Patches per process of the largest batch that runs out of memory nowhere.

    Sizes are doubled from 1 until one fails, then the gap is bisected. All processes try the same sizes, and
    one that fails anywhere has failed. With room for 11: 1, 2, 4, 8 run, 16 does not, 12 does not, 10 and 11
    do.

    Args:
        try_step: computes a whole training step with as many patches of this process: forward, loss, backward
            and update. It must talk to no other process, since those may have run out of memory before, and
            must leave weights and optimizer as they were, or be called before they count.
        ranks: all processes of the run.
        largest: where the search ends, patches.

    Raises:
        TrainingError: not even one patch fits.
    """
    fits, fails = 0, largest + 1
    while fails - fits > 1:
        size = min(max(1, 2 * fits), largest) if fails > largest else (fits + fails) // 2
        if _fits_everywhere(try_step, ranks, size):
            fits = size
        else:
            fails = size
    if not fits:
        raise TrainingError(
            "not even a batch of one patch fits into memory; choose a smaller patch_zyx or network, or set "
            "activation_checkpointing: true"
        )
    logger.info("batch size %d: the largest that fits into memory, up to %d", fits, largest)
    return fits


def _fits_everywhere(try_step: Callable[[int], None], ranks: Ranks, size: int) -> bool:
    """Whether a step of `size` patches runs on every process; what a failed one held is given back."""
    fitted = True
    try:
        try_step(size)
    except (torch.OutOfMemoryError, MemoryError):
        fitted = False
    except RuntimeError as error:
        # What the CPU's allocator raises has no class of its own.
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        fitted = False
    if not fitted:
        # Outside the handlers: there the traceback still holds the step's tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return bool(ranks.min(int(fitted)))


@contextmanager
def with_margin(device: torch.device, margin: float = MARGIN) -> Iterator[None]:
    """Let a search run out of memory before the GPU does: the last `margin` of it is out of bounds.

    On CPUs it changes nothing.
    """
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1 - margin, device)
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, device)
