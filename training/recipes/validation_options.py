"""How a run is watched; `training.runs.validation` does it."""

from dataclasses import dataclass

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Dice of held-out cases, by windows with Gaussian importance."""

    every_steps: int = 500
    """Steps between validations; there is always one after the last step."""
    every_epochs: int | None = None
    """Epochs between validations instead of steps; missing: `every_steps` counts."""
    cases: int = 8
    """Held-out cases looked at each time, at most."""
    overlap: float = 0.25
    """Share of a window that neighbouring windows cover again."""

    def __post_init__(self) -> None:
        check_between("every_steps", self.every_steps, 1, 10_000_000)
        if self.every_epochs is not None:
            check_between("every_epochs", self.every_epochs, 1, 1_000_000)
        check_between("cases", self.cases, 1, 100_000)
        check_between("overlap", self.overlap, 0, 0.9)
