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


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The network cut over processes, and each batch into micro-batches that flow through them (GPipe, LAMP).

    Losses and gradients are those of the whole network on the whole batch, sums over the batch included, as
    of a Dice term. Batch norm alone takes its statistics over each micro-batch of each replica; one
    process, which cuts nothing, takes them over its whole batch. With batch norm another cut is therefore
    another training, and no run is resumed with one.
    """

    stages: int | None = None
    """Parts, each in a process of its own; processes must be a multiple of it, and share each batch as
    replicas. Missing: as many as there are processes; one process then has the whole network."""
    micro_batches: int = 1
    """Parts of a process's patches, which must be equal; where there are fewer patches, one for each."""
    balance: Literal["memory", "time"] = "memory"
    """What stages should have alike: memory, which is counted, or time, which is measured before the run."""

    def __post_init__(self) -> None:
        if self.stages is not None:
            check_between("stages", self.stages, 1, 1024)
        check_between("micro_batches", self.micro_batches, 1, 4096)
