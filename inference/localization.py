"""Region of interest: where a low-resolution network sees organs.

The members then look at this box only, which saves most of their windows on a large field of view (FLARE23 low-resource
ensemble).
"""

import logging
from math import ceil, floor

import cc3d
import numpy as np
from numpy.typing import NDArray

from inference.ensemble import Group, Image, Pass
from inference.geometry import Box
from inference.runtime import F32, Session
from model.labels import BACKGROUND
from model.manifest import Localization, Member, Zyx, ZyxMm

LEAST_SHARE = 0.1
"""Connected parts of less than this share of the largest one are taken for specks."""
AXES = "zyx"

OVERLAP = 0.25
"""Of the windows where the image is larger than one."""

logger = logging.getLogger(__name__)


def organ_mask(image: Image, localization: Localization, session: Session) -> NDArray[np.bool_]:
    """Where the localization network sees any organ; (z, y, x) on its grid.

    Args:
        image: on the localization grid.
        localization: the network's windows and axes.
        session: the network; its first channel is the background, or it has a single one for all organs.
    """
    member = Member(
        file=localization.file,
        spacing_zyx_mm=localization.spacing_zyx_mm,
        window_zyx=localization.window_zyx,
        intensity=localization.intensity,
        axes=localization.axes,
        overlap=OVERLAP,
    )
    once = Pass(member=member, image=image, session=lambda: _TwoChannels(session))
    group = Group(passes=[once], channels=(BACKGROUND, "organs"), activation="softmax")
    return np.concatenate([slab[1] > slab[0] for slab in group.slabs(0, image.size_zyx[0])])


class _TwoChannels:
    """Logits of background and organs.

    A single channel gets a background of logit 0 beside it: their softmax is the single one's sigmoid. Several organs are united.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, window: F32) -> F32:
        logits = self._session.run(window)
        background, organs = (logits[:, :1], logits[:, 1:]) if logits.shape[1] > 1 else (np.zeros_like(logits), logits)
        return np.concatenate([background, np.logaddexp.reduce(organs, axis=1, keepdims=True)], axis=1)

    def close(self) -> None:
        self._session.close()


def foreground_box(mask: NDArray[np.bool_]) -> Box | None:
    """The box around the connected parts of a mask (z, y, x) that are no specks; None where the mask is empty."""
    parts = np.asarray(cc3d.connected_components(mask, connectivity=26))
    if not parts.any():
        return None
    statistics = cc3d.statistics(parts)
    voxels = np.asarray(statistics["voxel_counts"])[1:]
    boxes = [box for box, count in zip(statistics["bounding_boxes"][1:], voxels, strict=True) if count >= LEAST_SHARE * voxels.max()]
    z, y, x = ((min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3))
    return Box(start_zyx=(int(z[0]), int(y[0]), int(x[0])), stop_zyx=(int(z[1]), int(y[1]), int(x[1])))


def region_of_interest(mask: NDArray[np.bool_], size_zyx: Zyx, spacing_zyx_mm: ZyxMm, margin_mm: float, crop_axes: tuple[str, ...]) -> Box:
    """The box of voxels of an image that the members shall look at; the whole image, with a warning, where nothing was found.

    Args:
        mask: (z, y, x) union of all organs on the localization grid, which spans the image edge to edge.
        size_zyx: of the image.
        spacing_zyx_mm: of the image.
        margin_mm: how far the box reaches beyond the organs.
        crop_axes: axes to crop; along the others the box is as long as the image.
    """
    found = foreground_box(mask)
    if found is None:
        logger.warning("localization found no organ; the whole image is segmented")
        return Box(start_zyx=(0, 0, 0), stop_zyx=size_zyx)
    start, stop = [], []
    for axis, (size, spacing) in enumerate(zip(size_zyx, spacing_zyx_mm, strict=True)):
        if AXES[axis] not in crop_axes:
            start.append(0)
            stop.append(size)
            continue
        scale, margin = size / mask.shape[axis], margin_mm / spacing
        start.append(max(0, floor(found.start_zyx[axis] * scale - margin)))
        stop.append(min(size, ceil(found.stop_zyx[axis] * scale + margin)))
    return Box(start_zyx=(start[0], start[1], start[2]), stop_zyx=(stop[0], stop[1], stop[2]))
