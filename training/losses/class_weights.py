"""How much each channel counts in the means that losses are; (channels,) each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.recipes.loss_options import AdaptiveWeights, ClassWeights, FixedWeights


def class_weights(options: ClassWeights, voxels: Tensor, channel_names: Sequence[str]) -> Tensor | None:
    """Weight of each channel; None where all count alike.

    Args:
        options: how they are found.
        voxels: of each channel in the batch, over all devices, (channels,) float.
        channel_names: what each channel is called.

    Raises:
        ValueError: weights are given by name, and channels have none.
    """
    if isinstance(options, FixedWeights):
        if len(channel_names) != len(voxels):
            raise ValueError(f"{len(voxels)} channels need as many names, have {len(channel_names)}")
        weights = [options.weights.get(name, 1.0) for name in channel_names]
        return torch.tensor(weights, dtype=voxels.dtype, device=voxels.device)
    if isinstance(options, AdaptiveWeights):
        return (voxels.max() / voxels.clamp(min=1)).pow(options.power).clamp(1, options.largest)
    return None
