"""Batches that are one whole case each, for networks that see volumes in one piece."""

from dataclasses import replace

import numpy as np
import torch

from model.arrays import Zyx
from model.networks.levels import Levels
from training.augmentation.draws import Key
from training.augmentation.patches import needed_crop
from training.data.batches import Batch, Unvaried, case_of
from training.data.sampling import draw_patch
from training.data.store import CaseStore
from training.random_streams import Stream
from training.recipes.recipe import Recipe
from training.training_errors import RecipeError


def padded_zyx(size_zyx: Zyx, network: Levels) -> Zyx:
    """The smallest size that holds a volume and that a network can be trained on.

    At a stride of 8, 17 voxels give 24. A volume no larger than the stride is given twice that along z, where
    its coarsest level would be a single voxel: the case may be the last of a long run, to end that is worse.
    """
    z, y, x = (-(-side // step) * step for side, step in zip(size_zyx, network.stride_zyx, strict=True))
    return (2 * z if network.has_too_little_to_normalize((z, y, x)) else z), y, x


def whole_batch(
    store: CaseStore, recipe: Recipe, seed: int, step: int, *, rank: int = 0, world: int = 1
) -> Batch:
    """The one case of step `step`, varied and padded as a patch of its size would be.

    Raises:
        RecipeError: there is more than one process, and one case cannot be shared out.
    """
    if world > 1:
        raise RecipeError(
            f"patch_zyx: whole volumes, one a step, cannot be shared among {world} processes; train with one"
        )
    case = store.load(case_of(step, len(store), seed))
    patch_zyx = padded_zyx(case.size_zyx, recipe.network)
    rng = np.random.default_rng((seed, Stream.PATCH, step, 0))
    recipe = replace(recipe, patch_zyx=patch_zyx)
    key: Key = (seed, step)
    crop_zyx = needed_crop(recipe.augmentation, key, patch_zyx)
    image, channels = draw_patch(case, recipe, rng, crop_zyx=crop_zyx)
    return Batch(
        images=torch.from_numpy(image)[None],
        target=torch.from_numpy(channels)[None],
        annotated=torch.tensor([case.annotated or (True,) * len(recipe.channel_names)]),
        unvaried=Unvaried(keys=(key,), patch_zyx=patch_zyx),
    )
