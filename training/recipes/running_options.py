"""How a run proceeds: its stages and the average of its weights."""

from dataclasses import dataclass
from typing import Literal

from model.arrays import Zyx
from model.checks import check_between

WHOLE: Literal["whole"] = "whole"
"""What stands for a patch where the network sees whole volumes."""


@dataclass(frozen=True, kw_only=True)
class CurriculumStage:
    """A part of the run with a patch and a batch size of its own (LAMP)."""

    patch_zyx: Zyx | Literal["whole"]
    """Size of a patch, voxels; `whole`: each case in one piece, padded on all sides to what the network's
    strides ask for, with a batch size of 1."""
    batch_size: int = 1
    """Patches of a step."""
    epochs: int
    """How long the stage lasts; an epoch is as `sampling` defines it."""
    learning_rate: float | None = None
    """Peak learning rate of the stage; missing: the optimizer's."""

    def __post_init__(self) -> None:
        largest = 1 if self.patch_zyx == WHOLE else 4096
        check_between("batch_size", self.batch_size, 1, largest)
        check_between("epochs", self.epochs, 1, 1_000_000)
        if self.learning_rate is not None:
            check_between("learning_rate", self.learning_rate, 1e-8, 1)


@dataclass(frozen=True, kw_only=True)
class WeightAverage:
    """An exponential moving average (EMA) of the weights, which is validated and exported in their place."""

    decay: float = 0.999
    """Share of the average that a step keeps, after the first steps: min(decay, (1 + n) / (10 + n)) in step
    n, so that the random weights of the start are soon forgotten."""

    def __post_init__(self) -> None:
        check_between("decay", self.decay, 0, 0.999999)
