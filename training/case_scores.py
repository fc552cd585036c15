"""Dice and HD95 of the structures of a case, as folds and comparisons take them."""

from collections.abc import Iterator
from dataclasses import dataclass

from eval.scoring.metrics import dice, hd95_mm, joined_boxes, label_boxes, surface_distances
from model.arrays import U8, ZyxMm


@dataclass(frozen=True, kw_only=True)
class Score:
    """One structure of one case."""

    case: str
    structure: str
    dice: float
    """0 to 1."""
    hd95_mm: float
    """Infinite where the structure was not found."""


def channel_scores(prediction: U8, truth: U8, spacing_zyx_mm: ZyxMm) -> Iterator[tuple[int, float, float]]:
    """Channel, Dice and HD95 in mm of each channel that the truth (z, y, x) holds, background left out."""
    held = label_boxes(truth)
    for channel, box in joined_boxes(label_boxes(prediction), held).items():
        if channel in held:
            masks = prediction[box] == channel, truth[box] == channel
            yield channel, dice(*masks), hd95_mm(surface_distances(*masks, spacing_zyx_mm))
