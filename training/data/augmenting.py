"""From a batch of crops to a batch of patches, on the training device."""

from dataclasses import replace

import torch

from training.augmentation.patches import augment_batch
from training.data.batches import Batch
from training.recipes.recipe import Recipe


def augmented(batch: Batch, recipe: Recipe, device: torch.device) -> Batch:
    """The batch as the network should see it, on the device; one of patches stays as it is."""
    if batch.unvaried is None:
        return batch
    images, target = augment_batch(
        batch.images,
        batch.target,
        batch.unvaried.keys,
        recipe.augmentation,
        batch.unvaried.patch_zyx,
        [channel.intensity for channel in recipe.case_inputs],
        device,
    )
    return replace(batch, images=images, target=target, unvaried=None)
