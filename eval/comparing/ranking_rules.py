"""What submissions are ranked by: the schemes of the challenges, or a YAML file of one's own.

    name: ours
    scheme: aggregate-then-rank            # or rank-then-aggregate (the default), test-then-rank
    aggregate: mean                        # or median
    lenient_s: 15                          # seconds a case that cost nothing
    lenient_mb: 4096                       # GPU memory in MiB that costs nothing
    metrics:
      - {name: Organ_DSC, better: more}
      - {name: Liver_HD95_mm, better: less, weight: 0.5}
      - {name: OwnRAM_KernelPeak_MB, better: less, worst: 8192}

A metric of accuracy is `DSC`, `NSD`, `HD95_mm` or `VolumeDifference_ml` over all structures, the same with
`Organ_` or `Lesion_` in front, or a column of the score table. A difference of volume, which tables give as
prediction minus truth, is ranked by its size, of each structure before they are averaged. A cost is `Time` or
`AUC_GPU` (beyond what costs nothing), `AUC_CPU`, `AUC_RAM`, or a column of the efficiency table.

Sources: rules of FLARE21 to FLARE24. FLARE22 gives the areas half the weight of the others. FLARE24's laptop
task names CPU and RAM without weights; they have half of it here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import yaml

from eval.eval_errors import JudgingError
from eval.measuring.efficiency_table import LENIENT_MB, LENIENT_S, STUCK_CPU, STUCK_GPU, STUCK_S
from model.checks import check
from model.schema import SchemaError, parse

Scheme = Literal["rank-then-aggregate", "aggregate-then-rank", "test-then-rank"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
COST_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"Time": "Time", "AUC_GPU": "AUC_GPU_Time", "AUC_CPU": "AUC_CPU_Time", "AUC_RAM": "AUC_RAM_Time"}
)
"""Name of a cost in a ranking to its column in the organisers' efficiency tables."""
WORST: Mapping[str, float] = MappingProxyType({"Time": STUCK_S, "AUC_GPU": STUCK_GPU, "AUC_CPU": STUCK_CPU})
"""What a case that did not end costs by the organisers' rules."""


@dataclass(frozen=True, kw_only=True)
class RankedMetric:
    """One metric of a challenge's ranking.

    Raises:
        ValueError: the weight is not above 0.
    """

    name: str
    """Name in the ranking table."""
    better: Literal["more", "less"]
    """Whether the largest or the smallest value ranks first."""
    weight: float = 1.0
    """Weight in the mean over the metrics, relative to the others."""
    worst: float | None = None
    """Value of a missing or failed case where values are averaged or tested; worse ones count as this one. By
    default 0 if more is better, else the organisers' penalty, or infinity."""

    def __post_init__(self) -> None:
        check(0 < self.weight < inf, f"weight: must be above 0, is {self.weight:g}")

    @property
    def more_is_better(self) -> bool:
        """Whether the largest value ranks first."""
        return self.better == "more"

    @property
    def worst_value(self) -> float:
        """The value of a missing case."""
        if self.worst is not None:
            return self.worst
        return 0.0 if self.more_is_better else WORST.get(self.name, inf)


@dataclass(frozen=True, kw_only=True)
class RankingRules:
    """The ranking scheme of a challenge.

    Raises:
        ValueError: there is no metric, one stands twice, or a tolerance is negative.
    """

    metrics: tuple[RankedMetric, ...]
    """What is ranked."""
    name: str = "own"
    """Name of the rules."""
    scheme: Scheme = "rank-then-aggregate"
    """Whether cases are ranked and ranks averaged, values averaged and ranked, or pairs of submissions
    tested."""
    aggregate: Literal["mean", "median"] = "mean"
    """How values of cases are summed up before they are ranked."""
    lenient_s: float = 0.0
    """Seconds that a case may take without a cost."""
    lenient_mb: float = 0.0
    """GPU memory in MiB that may be used at any moment without a cost."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        check(bool(names), "metrics: must name at least one")
        check(len(set(names)) == len(names), "metrics: a metric stands twice")
        check(self.lenient_s >= 0, "lenient_s: must be 0 or more")
        check(self.lenient_mb >= 0, "lenient_mb: must be 0 or more")


def _more(*names: str) -> tuple[RankedMetric, ...]:
    return tuple(RankedMetric(name=name, better="more") for name in names)


def _less(*names: str, weight: float = 1.0) -> tuple[RankedMetric, ...]:
    return tuple(RankedMetric(name=name, better="less", weight=weight) for name in names)


_FREE_MB_2022, _FREE_MB_2023 = LENIENT_MB
_LESIONS = (*_more("Lesion_DSC", "Lesion_NSD"), *_less("Time", "AUC_GPU"))

RANKINGS: Mapping[str, RankingRules] = MappingProxyType(
    {
        rules.name: rules
        for rules in (
            RankingRules(name="flare21", metrics=(*_more("DSC", "NSD"), *_less("Time", "MaxGPU_Mem"))),
            RankingRules(
                name="flare22",
                metrics=(*_more("DSC", "NSD"), *_less("Time"), *_less("AUC_GPU", "AUC_CPU", weight=0.5)),
                lenient_mb=_FREE_MB_2022,
            ),
            RankingRules(
                name="flare23",
                metrics=(*_more("Organ_DSC", "Organ_NSD"), *_LESIONS),
                lenient_s=LENIENT_S,
                lenient_mb=_FREE_MB_2023,
            ),
            RankingRules(
                name="flare24-lesion", metrics=_LESIONS, lenient_s=LENIENT_S, lenient_mb=_FREE_MB_2023
            ),
            RankingRules(
                name="flare24-laptop",
                metrics=(*_more("DSC", "NSD"), *_less("Time"), *_less("AUC_CPU", "AUC_RAM", weight=0.5)),
                lenient_s=LENIENT_S,
            ),
        )
    }
)
"""Challenge to its ranking scheme."""


def find_rules(name_or_path: str) -> RankingRules:
    """A challenge's ranking scheme, or that of a YAML file.

    Raises:
        JudgingError: there is none, or its file is faulty.
    """
    known = RANKINGS.get(name_or_path)
    if known is not None:
        return known
    path = Path(name_or_path)
    if not path.is_file():
        raise JudgingError(
            f"--rules {name_or_path}: no rules of this name and no file; known are {', '.join(RANKINGS)}"
        )
    try:
        return parse(RankingRules, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (SchemaError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise JudgingError(f"{path}: {' '.join(str(error).split())}") from error
