"""Which patches make a batch; `training.data.sampling` draws them."""

from dataclasses import dataclass, field
from typing import Literal

from model.checks import check_between

AUTO = "auto"
"""What stands for a batch size that is to be found."""


@dataclass(frozen=True, kw_only=True)
class CasesEpoch:
    """An epoch is one pass over the cases, of which each gives one patch."""

    kind: Literal["cases"] = "cases"


@dataclass(frozen=True, kw_only=True)
class IterationsEpoch:
    """An epoch is a number of steps (nnU-Net)."""

    kind: Literal["iterations"] = "iterations"
    iterations: int = 250
    """Steps of an epoch."""

    def __post_init__(self) -> None:
        check_between("iterations", self.iterations, 1, 1_000_000)


Epoch = CasesEpoch | IterationsEpoch
"""Any of the definitions of an epoch."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Every epoch shows each case once.

    A patch is centred on a voxel of a channel that is drawn evenly from those present in the case.
    """

    batch_size: int | Literal["auto"] = 1
    """Patches per step, over all processes; `auto`: as many as fit into memory."""
    epoch: Epoch = field(default_factory=CasesEpoch)
    """What counts as an epoch."""
    background_share: float | None = None
    """Share of patches centred on the background, 0 to 1; the others are centred on each structure equally
    often. Missing: the background counts as one structure among the others, and what lies far from all organs
    is hardly seen."""

    def __post_init__(self) -> None:
        if self.batch_size != AUTO:
            check_between("batch_size", self.batch_size, 1, 64)
        if self.background_share is not None:
            check_between("background_share", self.background_share, 0, 1)
