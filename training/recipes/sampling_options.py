"""Which patches make a batch; `training.data.sampling` and `training.data.batches` draw them."""

from dataclasses import dataclass, field
from typing import Literal

from model.checks import check, check_between

MOST_PATCHES = 4096
"""Patches of a step, over all processes together."""


@dataclass(frozen=True, kw_only=True)
class CasesEpoch:
    """An epoch shows each case once, in an order of its own."""

    kind: Literal["cases"] = "cases"


@dataclass(frozen=True, kw_only=True)
class IterationsEpoch:
    """An epoch is a number of steps, and each patch comes from a case drawn at random (nnU-Net)."""

    kind: Literal["iterations"] = "iterations"
    iterations: int = 250
    """Steps of an epoch."""

    def __post_init__(self) -> None:
        check_between("iterations", self.iterations, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class ClassesCentre:
    """Around a voxel of a class, drawn evenly from those present; the background is one of them."""

    kind: Literal["classes"] = "classes"
    of: Literal["channels", "labels"] = "channels"
    """What a class is: an output channel, or a label id. A merged channel has two ids: a kidney is then drawn
    for its right and for its left side."""


@dataclass(frozen=True, kw_only=True)
class BackgroundShareCentre:
    """Around a background voxel with chance `share`, else around one of a structure drawn evenly."""

    kind: Literal["background_share"] = "background_share"
    share: float
    """Chance of the background, 0 to 1."""

    def __post_init__(self) -> None:
        check_between("share", self.share, 0, 1)


@dataclass(frozen=True, kw_only=True)
class ForegroundShareCentre:
    """nnU-Net's oversampling: the last patches of each batch lie around structures, the others anywhere.

    The structure is drawn evenly from those present. As in nnU-Net these are the patches from number
    round(batch · (1 - share)) on, counted from 0: one of two, for a share of 0.33. Where that is none (a
    batch of one) each patch is one of them with chance `share`.
    """

    kind: Literal["foreground_share"] = "foreground_share"
    share: float = 0.33
    """Share of patches around structures, 0 to 1."""

    def __post_init__(self) -> None:
        check_between("share", self.share, 0, 1)


Epoch = CasesEpoch | IterationsEpoch
"""What an epoch is."""
Centre = ClassesCentre | BackgroundShareCentre | ForegroundShareCentre
"""Where patches are cut."""

AUTO: Literal["auto"] = "auto"
"""What stands for a batch size that is to be found."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many patches a step has, which cases they come from, and where they are cut.

    Only structures that a case annotates are looked for in it.
    """

    batch_size: int | Literal["auto"] = 1
    """Patches per step, over all processes together; `auto`: as many as the device's memory holds."""
    epoch: Epoch = field(default_factory=CasesEpoch)
    """What an epoch is."""
    centre: Centre = field(default_factory=ClassesCentre)
    """Where patches are cut."""
    background_share: float | None = None
    """Short for `centre: {kind: background_share, share: …}`."""

    def __post_init__(self) -> None:
        if self.batch_size != AUTO:
            check_between("batch_size", self.batch_size, 1, MOST_PATCHES)
        if self.background_share is not None:
            check_between("background_share", self.background_share, 0, 1)
            plain = isinstance(self.centre, ClassesCentre)
            check(plain, "background_share: says the same as centre; state one of them")

    @property
    def patches(self) -> int:
        """Patches per step, over all processes together.

        Raises:
            ValueError: the batch size is `auto` and was not found yet.
        """
        if self.batch_size == AUTO:
            raise ValueError("sampling.batch_size: auto must be resolved before patches are drawn")
        return self.batch_size

    @property
    def where(self) -> Centre:
        """Where patches are cut."""
        if self.background_share is None:
            return self.centre
        return BackgroundShareCentre(share=self.background_share)

    def steps_of_epoch(self, cases: int) -> int:
        """Steps after which an epoch of `cases` training cases is over, rounded up."""
        if isinstance(self.epoch, IterationsEpoch):
            return self.epoch.iterations
        return -(-cases // self.patches)
