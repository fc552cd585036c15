"""How much a window's output counts at each of its voxels."""

import numpy as np

from model.arrays import F32, F64, Zyx
from model.manifest.tiling import GaussianImportance, Importance, NnunetImportance

NNUNET_SCALE = 10.0
"""What nnU-Net scales the centre to, so that half floats hold the rim."""
NNUNET_TRUNCATE = 4.0
"""Standard deviations after which SciPy's Gaussian filter, which nnU-Net draws its map with, is 0."""


def importance_map(importance: Importance, window_zyx: Zyx) -> F32:
    """How much a window's output counts at each of its voxels.

    (z, y, x), above 0, largest in the middle, read-only.

    The Gaussian is centred between the two middle voxels of an even axis, where nnU-Net's lies on the later
    one.
    """
    weights = np.ones(window_zyx, np.float32)
    if isinstance(importance, GaussianImportance):
        for axis, length in enumerate(window_zyx):
            offset = np.arange(length) - (length - 1) / 2
            profile = np.exp(-0.5 * (offset / (length * importance.sigma)) ** 2).astype(np.float32)
            weights *= profile.reshape([-1 if a == axis else 1 for a in range(3)])
        weights /= weights.max()
        np.maximum(weights, np.float32(importance.least), out=weights)
    elif isinstance(importance, NnunetImportance):
        weights = _nnunet_map(window_zyx, importance.sigma)
    weights.flags.writeable = False
    return weights


def _nnunet_map(window_zyx: Zyx, sigma: float) -> F32:
    """What `compute_gaussian` of nnU-Net 2.8.1 gives: a filtered impulse, in half floats, without zeros."""
    z, y, x = (_filtered_impulse(length, length * sigma) for length in window_zyx)
    full = z[:, None, None] * y[None, :, None] * x[None, None, :]
    full /= full.max() / NNUNET_SCALE
    half = full.astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return half.astype(np.float32)


def _filtered_impulse(length: int, sigma: float) -> F64:
    """An impulse at voxel n // 2 of an axis, filtered as `scipy.ndimage.gaussian_filter` does."""
    radius = int(NNUNET_TRUNCATE * sigma + 0.5)
    offset = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * offset**2)
    kernel /= kernel.sum()
    profile = np.zeros(length)
    for place in range(length):
        distance = place - length // 2
        if abs(distance) <= radius:
            profile[place] = kernel[distance + radius]
    return profile
