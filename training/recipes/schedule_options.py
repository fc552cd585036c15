"""How the learning rate changes from step to step; `training.optimization.schedule` computes it.

A schedule is stretched over the steps that `stopping` states.
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class WarmupCosineSchedule:
    """A linear rise to the peak, then half a cosine down to zero."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""

    def __post_init__(self) -> None:
        check_between("warmup_steps", self.warmup_steps, 0, 1_000_000)


Schedule = WarmupCosineSchedule
"""Any of the schedules."""
