"""From a batch of crops to a batch of patches, where a recipe augments on the training device."""

from dataclasses import replace

import torch

from training.augmentation.batched import augment_batch
from training.data.batches import Batch
from training.recipes.batched_augmentation_options import BatchedAugmentation
from training.recipes.recipe import Recipe


def augmented(batch: Batch, recipe: Recipe, device: torch.device) -> Batch:
    """The batch as the network should see it, on the device where it is augmented there.

    A batch whose patches were varied as they were cut stays as it is.
    """
    if batch.unvaried is None or not isinstance(recipe.augmentation, BatchedAugmentation):
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
