"""Voxels of two label maps counted structure by structure, as nnU-Net's evaluation counts them."""

import math
from dataclasses import dataclass

import numpy as np

from eval.scoring.challenges import NOWHERE, LabelPair
from eval.scoring.metrics import joined_boxes
from model.labels import LabelSet


@dataclass(frozen=True, kw_only=True)
class VoxelCounts:
    """Numbers of voxels of one structure in a whole case."""

    both: int
    """True positives: in the prediction and in the truth."""
    prediction: int
    """In the prediction."""
    truth: int
    """In the truth."""
    voxels: int
    """Of the image."""

    @property
    def either(self) -> int:
        """In the prediction, in the truth or in both."""
        return self.prediction + self.truth - self.both

    @property
    def dice(self) -> float:
        """Sørensen-Dice coefficient, 0 to 1; NaN if neither map holds the structure."""
        return 2 * self.both / (self.prediction + self.truth) if self.either else math.nan

    @property
    def iou(self) -> float:
        """Intersection over union, 0 to 1, likewise."""
        return self.both / self.either if self.either else math.nan


def count_voxels(pair: LabelPair, labels: LabelSet) -> dict[str, VoxelCounts]:
    """Each structure of a label set to its voxels in a case, whatever slices a challenge would look at."""
    boxes = joined_boxes(pair.prediction_boxes, pair.truth_boxes)
    counts = {}
    for name, label in labels.ids.items():
        box = boxes.get(label, NOWHERE)
        prediction, truth = pair.prediction[box] == label, pair.truth[box] == label
        counts[name] = VoxelCounts(
            both=int(np.count_nonzero(prediction & truth)),
            prediction=int(np.count_nonzero(prediction)),
            truth=int(np.count_nonzero(truth)),
            voxels=pair.truth.size,
        )
    return counts
