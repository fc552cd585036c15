"""The scores of one structure in one case, and what each metric is called and good for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nan
from types import MappingProxyType


class Metric(StrEnum):
    """A score of a structure; the value is how the names of its columns end."""

    DSC = "DSC"
    NSD = "NSD"
    HD95 = "HD95_mm"
    HD = "HD_mm"
    ASSD = "ASSD_mm"
    CL_DICE = "clDice"
    VOLUME_DIFFERENCE = "VolumeDifference_ml"


TRUTH_VOLUME = "TruthVolume_ml"
"""End of the columns that hold a structure's volume in the truth: 0 where the truth has none."""
ON_REQUEST = {"HD": Metric.HD, "ASSD": Metric.ASSD, "clDice": Metric.CL_DICE}
"""Metrics that tables hold only if they are asked for, by the names that they are asked for by."""
SHARES = frozenset((Metric.DSC, Metric.NSD, Metric.CL_DICE))
"""Metrics from 0 to 1."""
DISTANCES = frozenset((Metric.HD95, Metric.HD, Metric.ASSD))
"""Metrics that are infinite if only one of the maps holds the structure."""


@dataclass(frozen=True, kw_only=True)
class StructureScore:
    """Scores of one structure in one case; NaN stands for "not scored"."""

    dice: float
    """Sørensen-Dice coefficient (DSC), 0 to 1."""
    nsd: float
    """Normalized surface Dice at the structure's tolerance, 0 to 1."""
    hd95_mm: float = nan
    """95th percentile of the surface distances in mm; infinite if only one of the maps holds the structure,
    NaN if it was not computed."""
    hd_mm: float = nan
    """Largest surface distance in mm, likewise."""
    assd_mm: float = nan
    """Mean surface distance in mm over both surfaces, likewise."""
    cl_dice: float = nan
    """Overlap of centre lines (clDice), 0 to 1; NaN if it was not computed."""
    volume_difference_ml: float = nan
    """Volume of the prediction minus volume of the truth, in ml."""
    truth_ml: float = nan
    """Volume of the truth in ml, 0 if it lacks the structure; NaN if nobody said."""


LOST = StructureScore(dice=0.0, nsd=0.0, hd95_mm=inf, hd_mm=inf, assd_mm=inf, cl_dice=0.0)
"""Score of a structure in a case that failed, under rules that count failures."""
UNSCORED = StructureScore(dice=nan, nsd=nan)
"""Score of a structure that the rules leave out."""


_FIELDS: Mapping[Metric, str] = MappingProxyType(
    {
        Metric.DSC: "dice",
        Metric.NSD: "nsd",
        Metric.HD95: "hd95_mm",
        Metric.HD: "hd_mm",
        Metric.ASSD: "assd_mm",
        Metric.CL_DICE: "cl_dice",
        Metric.VOLUME_DIFFERENCE: "volume_difference_ml",
    }
)
"""The field of each metric."""


def value_of(score: StructureScore, metric: Metric) -> float:
    """One metric of a structure's scores."""
    return float(getattr(score, _FIELDS[metric]))


def score_of(values: Mapping[Metric, float], truth_ml: float) -> StructureScore:
    """The scores of a structure from all metrics, and its volume in the truth."""
    return StructureScore(**{_FIELDS[metric]: value for metric, value in values.items()}, truth_ml=truth_ml)
