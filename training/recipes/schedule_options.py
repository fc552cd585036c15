"""How the learning rate changes from step to step; `training.optimization.schedule` computes it.

A schedule is stretched over the whole run, as long as `stopping` or the curriculum make it. Where the run
stops when it has converged, the learning rate stays at its peak until then, and the schedule's decay is
stretched over the steps that are left.
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_between


@dataclass(frozen=True, kw_only=True)
class WarmupCosineSchedule:
    """A linear rise to the peak, then half a cosine down to zero."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""
    warmup_epochs: float = 0.0
    """The same in epochs, as `sampling` defines them, of the first stage where there is a curriculum; one of
    the two at most."""

    def __post_init__(self) -> None:
        check_between("warmup_steps", self.warmup_steps, 0, 1_000_000)
        check_between("warmup_epochs", self.warmup_epochs, 0, 100_000)
        check(not (self.warmup_steps and self.warmup_epochs), "warmup_epochs: warmup_steps is stated, too")


@dataclass(frozen=True, kw_only=True)
class PolynomialSchedule:
    """(1 - e/E)^power in epoch e of E, counted from 0 (nnU-Net): constant within an epoch."""

    kind: Literal["polynomial"] = "polynomial"
    power: float = 0.9
    """The exponent."""

    def __post_init__(self) -> None:
        check_between("power", self.power, 0.01, 10)


@dataclass(frozen=True, kw_only=True)
class ConstantSchedule:
    """The peak learning rate in every step."""

    kind: Literal["constant"] = "constant"


Schedule = WarmupCosineSchedule | PolynomialSchedule | ConstantSchedule
"""Any of the schedules."""
