"""When a run is done."""

from dataclasses import dataclass
from typing import Literal

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class FixedSteps:
    """After a number of optimizer steps."""

    kind: Literal["fixed_steps"] = "fixed_steps"
    steps: int
    """Optimizer steps of the whole run; the schedule ends here."""

    def __post_init__(self) -> None:
        check_between("steps", self.steps, 1, 10_000_000)


Stopping = FixedSteps
"""Any of the rules."""
