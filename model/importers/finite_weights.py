"""Weights that are no numbers, of which nobody should find out by an export that fails."""

import torch
from torch import Tensor

from model.importers.refusals import RefusedModelError


def check_finite_weights(name: str, tensor: Tensor, where: object) -> None:
    """Refuse a tensor, of any shape and type, that holds NaN or infinity.

    Args:
        name: what the checkpoint calls it, for messages.
        tensor: the weights.
        where: the checkpoint, for messages.

    Raises:
        RefusedModelError: it does.
    """
    if bool(torch.isfinite(tensor).all()):
        return
    what = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    raise RefusedModelError(
        f"{where}: {name} holds {what}: its training diverged; take another checkpoint, or train anew"
    )
