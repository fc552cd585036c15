"""Overlap of centre lines (clDice): whether a vessel is followed, more or less whatever its width.

DSC of a vessel is decided by its thick parts and its wall; a gap of a few voxels hardly counts. clDice asks
which share of each map's centre line lies in the other map (Shit et al., CVPR 2021; Metrics Reloaded: for
tubular structures, beside DSC and not instead of it). As in the authors' metric, centre lines are what a
thinning leaves of a mask; blunt ends of thick vessels leave short spurs, which cost a few hundredths.
"""

import numpy as np

from eval.scoring.thinning import thinned
from model.arrays import Mask


def cl_dice(prediction: Mask, truth: Mask) -> float:
    """Harmonic mean of the shares of both centre lines that lie in the other mask, 0 to 1.

    Two empty masks give 1, one empty mask gives 0.
    """
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    predicted, true = thinned(prediction), thinned(truth)
    precision = np.count_nonzero(predicted & truth) / np.count_nonzero(predicted)
    sensitivity = np.count_nonzero(true & prediction) / np.count_nonzero(true)
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0
