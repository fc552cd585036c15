"""What a label map holds, and where. Arrays are (z, y, x) uint8."""

from dataclasses import dataclass

import numpy as np

from inference.geometry import Box
from inference.postprocessing.runs import Runs


@dataclass(frozen=True, kw_only=True)
class Found:
    """One label of a label map."""

    box: Box
    """The smallest box that holds all its voxels."""
    voxels: int
    centre_zyx: tuple[float, float, float]
    """Mean index of its voxels."""


def find_labels(runs: Runs) -> dict[int, Found]:
    """Every label with its box, number of voxels and centre, in the order of the ids."""
    return {int(label): found(runs.of([int(label)])) for label in np.unique(runs.label)}


def found(runs: Runs) -> Found:
    """Box, number of voxels and centre of some runs together, at least one."""
    z, y, voxels = runs.z, runs.y, runs.voxels.astype(np.int64)
    total = int(voxels.sum())
    # The sum of the x from start to below stop is their number times their mean.
    sums = (z @ voxels, y @ voxels, (runs.start + runs.stop - 1).astype(np.int64) @ voxels / 2)
    centre_z, centre_y, centre_x = (float(each) / total for each in sums)
    return Found(
        box=Box(
            start_zyx=(int(z.min()), int(y.min()), int(runs.start.min())),
            stop_zyx=(int(z.max()) + 1, int(y.max()) + 1, int(runs.stop.max())),
        ),
        voxels=total,
        centre_zyx=(centre_z, centre_y, centre_x),
    )
