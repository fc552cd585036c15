"""Which structures of a label set a label map holds."""

import numpy as np

from model.arrays import U8
from model.labels import LabelSet


def structures_found(labels: U8, label_set: LabelSet) -> dict[str, int]:
    """Name and id of each structure that a label map holds, in the order of the ids.

    Args:
        labels: (z, y, x).
        label_set: what the labels mean.
    """
    held = np.zeros(256, bool)
    for plane in labels:  # Slice by slice: to count, numpy makes integers of eight bytes.
        held |= np.bincount(plane.ravel(), minlength=256) > 0
    return {name: label_set.ids[name] for name in label_set.names if held[label_set.ids[name]]}
