"""Which structure is taken for which: the volume of each true structure that each label was given to.

A low DSC of both kidneys says that they are bad; the matrix says that they were swapped. Source: the
confusion matrix of Metrics Reloaded, in ml instead of voxels, so that cases of different spacing add up.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.files import write_csv
from eval.scoring.metrics import label_boxes
from model.arrays import F64, U8, ZyxMm
from model.labels import BACKGROUND, LabelSet

SWAPPED = 0.1
"""From this share of a structure on, taking it for another structure is worth a line."""
TRUTH_ML = "Truth_ml"
"""The column that names the true structures of a matrix."""


def confusion_ml(prediction: U8, truth: U8, spacing_zyx_mm: ZyxMm, labels: LabelSet) -> F64:
    """Volume in ml by true (rows) and predicted structure (columns), background first.

    Labels outside the set count as background.
    The background's agreement with itself is not counted, since it says only how much air was scanned.

    Args:
        prediction: label map of shape (z, y, x).
        truth: label map of the same shape.
        spacing_zyx_mm: voxel size.
        labels: the structures, whose order of ids is that of rows and columns.
    """
    size = len(labels.names) + 1
    table = np.zeros(256, np.intp)
    table[[labels.ids[name] for name in labels.names]] = np.arange(1, size)
    counts = np.zeros(size * size, np.int64)
    boxes = [*label_boxes(prediction).values(), *label_boxes(truth).values()]
    first = min((box[0].start for box in boxes), default=0)
    stop = max((box[0].stop for box in boxes), default=0)
    for z in range(first, stop):  # Slice by slice: indices of a whole scan would take 16 bytes a voxel.
        counts += np.bincount((table[truth[z]] * size + table[prediction[z]]).ravel(), minlength=size * size)
    counts[0] = 0
    return counts.reshape(size, size).astype(np.float64) * (math.prod(spacing_zyx_mm) / 1000.0)


def confusion_path(scores: Path) -> Path:
    """Where the matrix beside a score table is."""
    return scores.with_name(f"{scores.stem}_confusion.csv")


def write_confusion(scores: Path, matrix: F64, labels: LabelSet) -> None:
    """Write a matrix beside a score table: a row for each true structure, a column for each predicted one."""
    names = (BACKGROUND, *labels.names)
    rows = [
        {TRUTH_ML: name, **dict(zip(names, (f"{volume:.4f}" for volume in row), strict=True))}
        for name, row in zip(names, matrix.tolist(), strict=True)
    ]
    write_csv(confusion_path(scores), [TRUTH_ML, *names], rows)


def mistaken(matrix: F64, labels: LabelSet) -> Sequence[str]:
    """A line for each structure of which much is called another one, the largest share first."""
    lines = []
    for i, name in enumerate(labels.names, start=1):
        whole = matrix[i].sum()
        for j, other in enumerate(labels.names, start=1):
            if i != j and whole and matrix[i, j] >= SWAPPED * whole:
                share = float(matrix[i, j] / whole)
                lines.append((share, f"{share:.0%} of {name} is called {other}"))
    return [line for _, line in sorted(lines, key=lambda each: -each[0])]
