"""Overlap of centre lines (clDice): whether a vessel is followed, whatever its width.

DSC of a vessel is decided by its thick parts and its wall; a gap of a few voxels hardly counts. clDice asks
which share of each map's centre line lies in the other map (Shit et al., CVPR 2021; Metrics Reloaded: for
tubular structures, beside DSC and not instead of it).
"""

import numpy as np
from scipy import ndimage

from model.arrays import Mask

_CROSS = ndimage.generate_binary_structure(3, 1)
_CUBE = ndimage.generate_binary_structure(3, 3)


def skeleton(mask: Mask) -> Mask:
    """Centre lines of a mask of shape (z, y, x): what every erosion leaves that an opening would remove.

    This is the morphological skeleton, which the paper computes softly; it is not always connected.
    """
    layer = np.pad(mask, 1)
    found = np.zeros_like(layer)
    while layer.any():
        eroded = ndimage.binary_erosion(layer, _CROSS)
        found |= layer & ~ndimage.binary_dilation(eroded, _CUBE)
        layer = eroded
    inner: Mask = found[1:-1, 1:-1, 1:-1]
    return inner


def cl_dice(prediction: Mask, truth: Mask) -> float:
    """Harmonic mean of the shares of both centre lines that lie in the other mask, 0 to 1.

    Two empty masks give 1, one empty mask gives 0.
    """
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    predicted, true = skeleton(prediction), skeleton(truth)
    precision = np.count_nonzero(predicted & truth) / np.count_nonzero(predicted)
    sensitivity = np.count_nonzero(true & prediction) / np.count_nonzero(true)
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0
