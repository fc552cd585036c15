"""The rule of pseudo-labels: a bundle fills in organs that nobody annotated, and changes nothing given.

| voxel | the case annotates | the bundle finds | becomes |
|---|---|---|---|
| liver | liver | spleen | liver: given foreground stays |
| background | liver | liver | background: whoever annotated the liver says that it is not here |
| background | liver | spleen | spleen |
| background | liver | tumor | background: a lesion is never a pseudo-label |

Which structures are lesions is said by the label set. Source: the FLARE23 low-resource ensemble, whose second
round trains on such labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.arrays import U8
from model.labels import LabelSet


def missing_organs(labels: LabelSet, annotated: Sequence[str] | None) -> tuple[str, ...]:
    """The organs of a label set that a case does not annotate, in the order of their ids.

    Args:
        labels: says which structures are organs.
        annotated: structures that the case annotates; None: all.
    """
    return () if annotated is None else tuple(name for name in labels.organs if name not in annotated)


def fill(given: NDArray[np.generic], found: U8, ids: Mapping[str, int]) -> dict[str, int]:
    """Fill organs into the background of a label map, in place.

    Args:
        given: label ids (z, y, x); voxels that are 0 may change.
        found: label ids of the bundle on the same voxels.
        ids: organ to its id, for each organ that may be filled in.

    Returns:
        Organ to the number of voxels that it got.

    >>> given = np.array([[[1, 0, 0, 0]]], np.uint8)
    >>> fill(given, np.array([[[3, 1, 3, 14]]], np.uint8), {"spleen": 3}), given.ravel().tolist()
    ({'spleen': 1}, [1, 0, 3, 0])
    """
    may = np.zeros(256, bool)
    may[list(ids.values())] = True
    here = (given == 0) & may[found]
    given[here] = found[here]
    counts = np.bincount(found[here], minlength=256)
    return {name: int(counts[label_id]) for name, label_id in ids.items()}
