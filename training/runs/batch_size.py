"""The largest batch that a device's memory takes, found by trying."""

import gc
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from training.distributed.ranks import Ranks
from training.training_errors import TrainingError

MARGIN = 0.1
"""Share of a GPU's memory that a search leaves free: fragments and other programs come and go."""

LearningRateRule = Literal["none", "linear", "square_root"]
"""How the learning rate follows the batch size: not, in proportion (SGD; Goyal et al. 2017), or by the
square root (Adam and its kin; Malladi et al. 2022)."""

logger = logging.getLogger(__name__)


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


def scaled_learning_rate(
    learning_rate: float, stated_batch: int, batch: int, rule: LearningRateRule
) -> float:
    """The learning rate for a batch other than the one that it was stated for.

    >>> scaled_learning_rate(0.01, 2, 8, "linear"), scaled_learning_rate(0.01, 2, 8, "square_root")
    (0.04, 0.02)
    """
    factor = batch / stated_batch
    return learning_rate * (1.0 if rule == "none" else factor if rule == "linear" else math.sqrt(factor))
