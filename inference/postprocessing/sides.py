"""To which side the parts of a paired organ belong, by where each lies across the patient's middle.

Positions are *lateral* millimetres as in `inference.postprocessing.midline`: positive on the patient's left.
What is decided, for kidneys (adrenals alike, with smaller distances and without the last two cases):

| parts found | decision |
|---|---|
| one or more on each side | each by the side on which most of it lies |
| all on one side: one kidney, or fragments of one | all to that side |
| all on one side, a spine's width apart | one right, one left: the line is off, as in scoliosis |
| one across, with a waist or deep into both sides | cut at the line: touching kidneys, horseshoe |
| one that reaches across only a little | whole, to the side where most of it lies |
| one on the middle while one about as large lies on a side | whole, to the other side: a pelvic kidney |
| two whole kidneys, one above the other, on one side | crossed ectopia: the lower is the other side's |

A kidney is named after the side that it comes from, which its ureter tells; labels hold no ureter. In crossed
ectopia the displaced kidney nearly always lies below the other one, hence the last rule. Where the two are
fused, no border can be seen and the whole stays on the side where it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from model.arrays import F64

BIN_MM = 2.0
REACH_MM = 400.0
CENTRES_MM: F64 = np.arange(-REACH_MM + BIN_MM / 2, REACH_MM, BIN_MM)
"""Lateral position of the middle of each bin of a profile."""

COMPARABLE = 0.25
"""Share of the largest part's volume from which on another part may be the other organ rather than a
crumb."""
EMPTY = 0.1
"""Share of the largest part's volume below which a side counts as empty."""
NEGLIGIBLE = 0.02
"""Share of a part that may lie across the middle without a second look."""
WAIST = 0.6
"""A waist is less than this times as thick as the thinner of the two lobes beside it."""
ON_THE_MIDDLE = 0.2
"""Share of a part on its smaller side from which on it lies on the middle rather than on a side."""
AS_LARGE = 0.6
"""Share of a part on the middle from which on a part beside it is a whole organ, not a piece of the same."""


class Side(Enum):
    """Where a part belongs."""

    RIGHT = auto()
    LEFT = auto()
    CUT = auto()
    """Each voxel to the side of the middle on which it lies."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Distances that tell one organ from two; those of kidneys are the defaults."""

    gap_mm: float = 30.0
    """Parts with at least this of nothing between them are two organs: vertebrae and great vessels lie
    there."""
    depth_mm: float = 20.0
    """Mean distance beyond the middle from which on what reaches across is an organ of its own, not a
    bulge."""
    whole_mm: float = 70.0
    """Height of a whole organ along head-foot."""
    whole_mm3: float = 50_000.0
    strays: bool = True
    """Whether one organ may lie on the middle or on the other one's side."""


KIDNEY = Anatomy()
ADRENAL = Anatomy(gap_mm=20.0, depth_mm=10.0, strays=False)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A connected part of the merged pair."""

    profile_mm3: F64
    """Volume in each bin around `CENTRES_MM`."""
    foot_mm: float
    head_mm: float
    """Lower and upper end along head-foot."""

    @property
    def volume_mm3(self) -> float:
        """Volume."""
        return float(self.profile_mm3.sum())

    @property
    def reach_mm(self) -> tuple[float, float]:
        """Lateral positions between which all but the outermost 2 % of the volume on either end lie."""
        filled = np.cumsum(self.profile_mm3) / self.volume_mm3
        rightmost, leftmost = np.searchsorted(filled, [0.02, 0.98])
        return float(CENTRES_MM[rightmost] - BIN_MM / 2), float(CENTRES_MM[leftmost] + BIN_MM / 2)

    def left_share(self, middle_mm: float) -> float:
        """Share of the volume to the left of a lateral position."""
        return float(self.profile_mm3[middle_mm < CENTRES_MM].sum() / self.volume_mm3)

    def across_share(self, middle_mm: float) -> float:
        """Share of the volume on the side where less of it lies."""
        share = self.left_share(middle_mm)
        return min(share, 1 - share)


def assign_sides(
    parts: Sequence[Part], anatomy: Anatomy, trust_line: bool = True
) -> tuple[float, list[Side]]:
    """Side of each part, and the lateral position (mm) of the middle that the parts themselves show.

    0 is the line's.

    Args:
        parts: largest first.
        anatomy: of the organ.
        trust_line: False where the line is a guess: a gap between two organs then says better where the
            middle is.
    """
    between = gap_middle(parts, anatomy)
    middle = 0.0 if between is None or (trust_line and not _one_sided(parts)) else between
    sides = [_side_of(part, middle, anatomy) for part in parts]
    if anatomy.strays and _comparable(parts) == 2:
        if between is None and _crossed(parts, anatomy):
            lower = 0 if parts[0].head_mm < parts[1].head_mm else 1
            sides[lower] = _other(sides[1 - lower])
        for beside, central in ((0, 1), (1, 0)):
            if _is_displaced(parts[central], parts[beside], middle):
                sides[central] = _other(sides[beside])
    return middle, sides


def gap_middle(parts: Sequence[Part], anatomy: Anatomy) -> float | None:
    """Lateral position (mm) of the middle of the widest gap between organs at the same levels.

    None where none is wide enough.

    Reach of four parts, right to left: `aaa bb....ccc dd` has its middle between b and c.
    """
    large = sorted(parts[: _comparable(parts)], key=lambda part: part.reach_mm)
    best: tuple[float, float] | None = None
    for index in range(1, len(large)):
        right, left = large[:index], large[index:]
        end, start = max(part.reach_mm[1] for part in right), left[0].reach_mm[0]
        if start - end >= anatomy.gap_mm and _same_levels(right, left):
            best = max(best or (0.0, 0.0), (start - end, (start + end) / 2))
    return best[1] if best else None


def _same_levels(some: Sequence[Part], others: Sequence[Part]) -> bool:
    foot = max(min(part.foot_mm for part in group) for group in (some, others))
    head = min(max(part.head_mm for part in group) for group in (some, others))
    return foot < head


def _comparable(parts: Sequence[Part]) -> int:
    """How many parts are not crumbs."""
    return sum(part.volume_mm3 >= COMPARABLE * parts[0].volume_mm3 for part in parts)


def _one_sided(parts: Sequence[Part]) -> bool:
    """Whether next to nothing lies on one of the sides of the line."""
    left = sum(part.left_share(0.0) * part.volume_mm3 for part in parts)
    right = sum(part.volume_mm3 for part in parts) - left
    return min(left, right) < EMPTY * parts[0].volume_mm3


def _crossed(parts: Sequence[Part], anatomy: Anatomy) -> bool:
    first, second = parts[:2]
    height = min(part.head_mm - part.foot_mm for part in (first, second))
    shared = min(first.head_mm, second.head_mm) - max(first.foot_mm, second.foot_mm)
    whole = height >= anatomy.whole_mm and second.volume_mm3 >= anatomy.whole_mm3
    return whole and shared <= 0.2 * height and _one_sided(parts)


def _is_displaced(central: Part, beside: Part, middle_mm: float) -> bool:
    """Whether one part lies on the middle while another, about as large, lies on a side."""
    as_large = beside.volume_mm3 >= AS_LARGE * central.volume_mm3
    return (
        as_large
        and central.across_share(middle_mm) >= ON_THE_MIDDLE
        and beside.across_share(middle_mm) < NEGLIGIBLE
    )


def _side_of(part: Part, middle_mm: float, anatomy: Anatomy) -> Side:
    most = Side.LEFT if part.left_share(middle_mm) > 0.5 else Side.RIGHT
    if part.across_share(middle_mm) < NEGLIGIBLE:
        return most
    beyond = (middle_mm < CENTRES_MM) != (most is Side.LEFT)
    across = part.profile_mm3[beyond]
    depth = float(across @ np.abs(CENTRES_MM[beyond] - middle_mm) / across.sum())
    return Side.CUT if depth >= anatomy.depth_mm or _has_waist(part, middle_mm) else most


def _has_waist(part: Part, middle_mm: float) -> bool:
    """Whether the part is much thinner somewhere between its thickest places on either side."""
    thickness = np.convolve(part.profile_mm3, np.ones(5) / 5, mode="same")
    left = int(np.argmax(np.where(middle_mm < CENTRES_MM, thickness, -1.0)))
    right = int(np.argmax(np.where(middle_mm >= CENTRES_MM, thickness, -1.0)))
    return bool(thickness[right : left + 1].min() < WAIST * min(thickness[right], thickness[left]))


def _other(side: Side) -> Side:
    return Side.LEFT if side is Side.RIGHT else Side.RIGHT
