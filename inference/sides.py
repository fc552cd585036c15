"""To which side the parts of a paired organ belong, decided from where each part lies across the patient's middle.

Positions are *lateral* millimetres as in `inference.midline`: positive on the patient's left. What is decided, for
kidneys (adrenals alike, with smaller distances and without the last case):

| parts found | decision |
|---|---|
| one or more on each side | by the side on which most of a part lies |
| all on one side: one kidney, or fragments of one | all to that side |
| two beside each other with a spine's width between | one right, one left: the line is off, as in scoliosis |
| two whole kidneys above each other on one side, the other side empty | crossed ectopia: the lower one is the other side's |
| one that reaches across, with a waist between two lobes, or deep into both sides | cut at the line: touching kidneys, horseshoe |
| one that reaches across only a little | whole, to the side where most of it lies |
| one on the middle while a whole one lies on one side | whole, to the other side: a pelvic kidney |

A kidney is named after the side that it comes from, which its ureter tells; labels hold no ureter. In crossed ectopia
the displaced kidney nearly always lies below the other one, hence the rule. Where the two are fused, no border can be
seen and the whole stays on the side where it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

BIN_MM = 2.0
REACH_MM = 400.0
CENTRES_MM: F64 = np.arange(-REACH_MM + BIN_MM / 2, REACH_MM, BIN_MM)
"""Lateral position of the middle of each bin of a profile."""

COMPARABLE = 0.25
"""Share of the largest part's volume from which on a second part is taken for the other organ rather than for a fragment."""
EMPTY = 0.1
"""Share of the largest part's volume below which a side counts as empty."""
NEGLIGIBLE = 0.02
"""Share of a part that may lie across the middle without a second look."""
ON_THE_MIDDLE = 0.3
"""Share of a part on its smaller side from which on it lies on the middle rather than on a side."""


class Side(Enum):
    """Where a part belongs."""

    RIGHT = auto()
    LEFT = auto()
    CUT = auto()
    """Each voxel to the side of the line on which it lies."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Distances that tell one organ from two; those of kidneys are the defaults."""

    gap_mm: float = 30.0
    """Two parts beside each other with at least this between them are two organs: vertebrae and great vessels lie there."""
    depth_mm: float = 20.0
    """Mean distance beyond the line from which on what reaches across is an organ of its own, not a bulge."""
    whole_mm: float = 70.0
    """Height of a whole organ along head-foot."""
    whole_mm3: float = 50_000.0
    crosses: bool = True
    """Whether one organ may lie on the other one's side."""


KIDNEY = Anatomy()
ADRENAL = Anatomy(gap_mm=20.0, depth_mm=10.0, crosses=False)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A connected part of the merged pair."""

    profile_mm3: F64
    """Volume in each bin around `CENTRES_MM`."""
    foot_mm: float
    head_mm: float

    @property
    def volume_mm3(self) -> float:
        """Volume."""
        return float(self.profile_mm3.sum())

    @property
    def middle_mm(self) -> float:
        """Lateral position of the centre of mass."""
        return float(self.profile_mm3 @ CENTRES_MM / self.volume_mm3)

    @property
    def reach_mm(self) -> tuple[float, float]:
        """Lateral positions between which all but the outermost 2 % of the volume on either end lie."""
        filled = np.cumsum(self.profile_mm3) / self.volume_mm3
        rightmost, leftmost = np.searchsorted(filled, [0.02, 0.98])
        return float(CENTRES_MM[rightmost] - BIN_MM / 2), float(CENTRES_MM[leftmost] + BIN_MM / 2)

    def left_share(self, middle_mm: float) -> float:
        """Share of the volume to the left of a lateral position."""
        return float(self.profile_mm3[middle_mm < CENTRES_MM].sum() / self.volume_mm3)


def decide(parts: Sequence[Part], anatomy: Anatomy, trust_line: bool = True) -> tuple[float, list[Side]]:
    """Side of each part, and the lateral position (mm) of the middle that the parts themselves show; 0 is the line's.

    Args:
        parts: largest first.
        anatomy: of the organ.
        trust_line: False where the line is a guess: the gap between two organs then says better where the middle is.
    """
    middle = _middle_from_gap(parts, anatomy, trust_line)
    sides = [_side_of(part, middle, anatomy) for part in parts]
    if middle == 0.0 and anatomy.crosses and _crossed(parts, sides, anatomy):
        lower = 0 if parts[0].head_mm < parts[1].head_mm else 1
        sides[lower] = _other(sides[lower])
    elif len(parts) > 1 and sides[0] in (Side.RIGHT, Side.LEFT) and _lies_on_middle(parts[1], middle) and _comparable(parts):
        sides[1] = sides[1] if sides[1] is Side.CUT else _other(sides[0])
    return middle, sides


def gap_middle(parts: Sequence[Part], anatomy: Anatomy) -> float | None:
    """Lateral position (mm) half-way between the two largest parts where they are two organs beside each other."""
    if not _comparable(parts):
        return None
    right, left = sorted(parts[:2], key=lambda part: part.middle_mm)
    inner_right, inner_left = right.reach_mm[1], left.reach_mm[0]
    beside = min(right.head_mm, left.head_mm) > max(right.foot_mm, left.foot_mm)
    return (inner_right + inner_left) / 2 if beside and inner_left - inner_right >= anatomy.gap_mm else None


def _middle_from_gap(parts: Sequence[Part], anatomy: Anatomy, trust_line: bool) -> float:
    middle = gap_middle(parts, anatomy)
    if middle is None or (trust_line and not _one_sided(parts)):
        return 0.0
    return middle


def _one_sided(parts: Sequence[Part]) -> bool:
    """Whether both of the largest parts lie on the same side and next to nothing lies on the other."""
    shares = [part.left_share(0.0) for part in parts]
    left = sum(share * part.volume_mm3 for share, part in zip(shares, parts, strict=True))
    total = sum(part.volume_mm3 for part in parts)
    same = (shares[0] > 0.5) == (shares[1] > 0.5)
    return same and min(left, total - left) < EMPTY * parts[0].volume_mm3


def _comparable(parts: Sequence[Part]) -> bool:
    return len(parts) > 1 and parts[1].volume_mm3 >= COMPARABLE * parts[0].volume_mm3


def _crossed(parts: Sequence[Part], sides: Sequence[Side], anatomy: Anatomy) -> bool:
    if not _comparable(parts) or not _one_sided(parts) or Side.CUT in sides[:2]:
        return False
    first, second = parts[:2]
    heights = [part.head_mm - part.foot_mm for part in (first, second)]
    shared = min(first.head_mm, second.head_mm) - max(first.foot_mm, second.foot_mm)
    whole = min(heights) >= anatomy.whole_mm and second.volume_mm3 >= anatomy.whole_mm3
    return whole and shared <= 0.2 * min(heights)


def _side_of(part: Part, middle_mm: float, anatomy: Anatomy) -> Side:
    share = part.left_share(middle_mm)
    most = Side.LEFT if share > 0.5 else Side.RIGHT
    if min(share, 1 - share) < NEGLIGIBLE:
        return most
    beyond = (middle_mm < CENTRES_MM) != (most is Side.LEFT)
    across = part.profile_mm3[beyond]
    depth = float(across @ np.abs(CENTRES_MM[beyond] - middle_mm) / across.sum())
    return Side.CUT if depth >= anatomy.depth_mm or _has_waist(part, middle_mm) else most


def _has_waist(part: Part, middle_mm: float) -> bool:
    """Whether the part is less than 0.6 times as thick somewhere between its thickest places on either side."""
    thickness = np.convolve(part.profile_mm3, np.ones(5) / 5, mode="same")
    left = int(np.argmax(np.where(middle_mm < CENTRES_MM, thickness, -1.0)))
    right = int(np.argmax(np.where(middle_mm >= CENTRES_MM, thickness, -1.0)))
    return bool(thickness[right : left + 1].min() < 0.6 * min(thickness[right], thickness[left]))


def _lies_on_middle(part: Part, middle_mm: float) -> bool:
    share = part.left_share(middle_mm)
    return min(share, 1 - share) >= ON_THE_MIDDLE


def _other(side: Side) -> Side:
    return {Side.RIGHT: Side.LEFT, Side.LEFT: Side.RIGHT}[side]
