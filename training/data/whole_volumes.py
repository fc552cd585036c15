"""Batches that are one whole case each, for networks that see volumes in one piece."""

from dataclasses import replace

import numpy as np
import torch

from model.arrays import Zyx
from training.data.batches import Batch, case_of
from training.data.sampling import GridCase, draw_patch
from training.data.store import CaseStore
from training.recipes.recipe import Recipe


def padded_zyx(size_zyx: Zyx, stride_zyx: Zyx) -> Zyx:
    """The smallest size that holds a volume and that the network can shrink: 17 at a stride of 8 gives 24."""
    z, y, x = (-(-side // step) * step for side, step in zip(size_zyx, stride_zyx, strict=True))
    return z, y, x


def size_zyx(case: GridCase) -> Zyx:
    """Voxels of a case along each axis."""
    z, y, x = case.channels.shape
    return z, y, x


def whole_batch(store: CaseStore, recipe: Recipe, seed: int, step: int) -> Batch:
    """The one case of step `step`, varied and padded as a patch of its size would be."""
    case = store.load(case_of(step, len(store), seed))
    patch_zyx = padded_zyx(size_zyx(case), recipe.network.stride_zyx)
    rng = np.random.default_rng((seed, 2, step, 0))
    image, channels = draw_patch(case, replace(recipe, patch_zyx=patch_zyx), rng)
    return Batch(
        images=torch.from_numpy(image)[None, None],
        target=torch.from_numpy(channels)[None],
        annotated=torch.ones(1, len(recipe.channel_names), dtype=torch.bool),
    )
