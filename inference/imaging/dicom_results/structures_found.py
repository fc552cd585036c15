"""Which structures of a label set a label map holds, and in which slices."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.arrays import U8, Mask
from model.labels import LabelSet


@dataclass(frozen=True, kw_only=True)
class StructuresFound:
    """What one look at a label map tells of it."""

    ids: Mapping[str, int]
    """Name and id of each structure that is there, in the order of the ids; empty where none is."""
    in_slices: Mask
    """(slices, 256): whether a slice holds an id."""


def structures_found(labels: U8, label_set: LabelSet) -> StructuresFound:
    """Look at every slice of a label map once.

    Args:
        labels: (z, y, x).
        label_set: what the labels mean.
    """
    # Slice by slice: to count, numpy makes integers of eight bytes.
    in_slices: Mask = np.stack([np.bincount(plane.ravel(), minlength=256) > 0 for plane in labels])
    held: Mask = np.any(in_slices, axis=0)
    ids = {name: label_set.ids[name] for name in label_set.names if held[label_set.ids[name]]}
    return StructuresFound(ids=ids, in_slices=in_slices)
