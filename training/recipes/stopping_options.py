"""When a run is done.

A run with a curriculum ends after its last stage, or when these rules say so, whichever comes first.
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_between


@dataclass(frozen=True, kw_only=True)
class FixedSteps:
    """After a number of optimizer steps."""

    kind: Literal["fixed_steps"] = "fixed_steps"
    steps: int
    """Optimizer steps of the whole run; the schedule ends here."""

    def __post_init__(self) -> None:
        check_between("steps", self.steps, 1, 10_000_000)


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """After a number of epochs, as `sampling` defines them."""

    kind: Literal["epochs"] = "epochs"
    epochs: int
    """Epochs of the whole run; the schedule ends here."""

    def __post_init__(self) -> None:
        check_between("epochs", self.epochs, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class Converged:
    """When validation Dice and loss no longer improve (method E, the accelerated workflow).

    The bound on the slope of their smoothed curves decides (`training.runs.convergence`). The learning rate
    then decays to its end, for to stop at its height would leave out what annealing gains; after that the run
    ends, or goes on to the next stage of its curriculum.
    """

    kind: Literal["converged"] = "converged"
    epochs: int
    """Epochs at most, annealing included."""
    window_epochs: int = 20
    """Latest epochs whose slope is looked at."""
    slope_per_epoch: float = 3e-5
    """Dice, 0 to 1, that an epoch must still be able to gain."""
    anneal_epochs: int = 20
    """Epochs over which the learning rate decays after that. A stage of a curriculum that is no longer than
    this anneals from its first step on."""

    def __post_init__(self) -> None:
        check_between("epochs", self.epochs, 1, 1_000_000)
        check_between("window_epochs", self.window_epochs, 3, 1_000_000)
        check_between("slope_per_epoch", self.slope_per_epoch, 0, 1)
        check_between("anneal_epochs", self.anneal_epochs, 0, 1_000_000)
        check(self.anneal_epochs < self.epochs, "anneal_epochs: must be fewer than epochs")


Stopping = FixedSteps | Epochs | Converged
"""Any of the rules."""
