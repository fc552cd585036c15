"""What is minimised: a weighted sum of terms, over the levels of deep supervision.

`training.losses` computes the terms, one function for each kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.checks import check, check_between


@dataclass(frozen=True, kw_only=True)
class _Term:
    weight: float = 1.0
    """Share of the term in the sum."""

    def __post_init__(self) -> None:
        check_between("weight", self.weight, 0, 100)


@dataclass(frozen=True, kw_only=True)
class DiceTerm(_Term):
    """1 - Dice, averaged over structures."""

    kind: Literal["dice"] = "dice"
    mean_over: Literal["present", "all"] = "present"
    """Which structures the mean is over: those that the patches hold, or all that their cases annotate, as in
    nnU-Net and MONAI. A structure that is not there has hardly any gradient: with 4 of 13 in a patch `all`
    gives the Dice term 4/13 of the weight that `present` gives it beside the others."""
    batch: bool = True
    """Whether voxels are counted over the whole batch (all devices included), or in each patch by itself."""
    background: bool = False
    """Whether the background counts as one structure among the others."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropyTerm(_Term):
    """Mean of -log p over voxels, p the probability of the true channel."""

    kind: Literal["cross_entropy"] = "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class FocalTerm(_Term):
    """Cross entropy of each voxel, played down where the network is right already (Lin et al. 2017)."""

    kind: Literal["focal"] = "focal"
    gamma: float = 2.0
    """Exponent that plays down easy voxels; 0 makes the term cross entropy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("gamma", self.gamma, 0, 5)


@dataclass(frozen=True, kw_only=True)
class TopKTerm(_Term):
    """Cross entropy over the hardest voxels only (nnU-Net's `TopKLoss`)."""

    kind: Literal["topk"] = "topk"
    percent: float = 10.0
    """Share of voxels that count, percent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("percent", self.percent, 0.01, 100)


@dataclass(frozen=True, kw_only=True)
class PerimeterTerm(_Term):
    """Squared difference of the soft perimeters of prediction and truth (El Jurdi et al. 2021)."""

    kind: Literal["perimeter"] = "perimeter"
    relative_to: Literal["perimeters", "voxels"] = "perimeters"
    """What the difference is divided by before it is squared. `perimeters`: the sum of both perimeters, which
    keeps the term between 0 and 1. `voxels`: the number of voxels of the patch, which makes it very small.
    The published systems state no scale."""


LossTerm = DiceTerm | CrossEntropyTerm | FocalTerm | TopKTerm | PerimeterTerm
"""Any of the terms."""


@dataclass(frozen=True, kw_only=True)
class UniformWeights:
    """All channels count alike."""

    kind: Literal["uniform"] = "uniform"


@dataclass(frozen=True, kw_only=True)
class FixedWeights:
    """Each channel counts as stated."""

    kind: Literal["fixed"] = "fixed"
    weights: Mapping[str, float]
    """Channel to its weight, e.g. `{tumor: 10}`; channels that are not named have 1."""

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            check_between(f"weights.{name}", weight, 0, 1000)


@dataclass(frozen=True, kw_only=True)
class AdaptiveWeights:
    """Small structures count more, by the voxels that each channel has in the batch.

    `min(largest, (n_max / n) ** power)`, n the voxels of a channel, n_max those of the largest. LAMP (Zhu et
    al., MICCAI 2020) says that its weights adapt to class size; its published code holds ten numbers from 1
    to 2.22 and no formula, so that this one is LeanSeg's own.
    """

    kind: Literal["adaptive"] = "adaptive"
    power: float = 0.25
    """0 makes all weights 1, 1 makes each channel count alike whatever its size."""
    largest: float = 10.0
    """No channel weighs more."""

    def __post_init__(self) -> None:
        check_between("power", self.power, 0, 2)
        check_between("largest", self.largest, 1, 1e6)


ClassWeights = UniformWeights | FixedWeights | AdaptiveWeights
"""Any of the weightings."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A sum of terms, summed over the levels of deep supervision."""

    terms: tuple[LossTerm, ...] = field(default_factory=lambda: (DiceTerm(), FocalTerm()))
    """What is added up at each level."""
    class_weights: ClassWeights = field(default_factory=UniformWeights)
    """How much each channel counts in every term's mean."""
    partial: Literal["marginal", "ignore"] = "marginal"
    """What becomes of structures that a case does not annotate. Either way they are left out of the Dice
    and perimeter terms. `marginal`: their probabilities are added to the background's (Shi et al. 2021).
    `ignore`: that case's background, of which they may be part, is left out of every term (LAMP)."""
    level_weights: tuple[float, ...] | None = None
    """Weight of each level, full resolution first; missing: 1, 1/2, 1/4 … (FLARE23 low-resource ensemble)."""

    def __post_init__(self) -> None:
        check(bool(self.terms), "terms: must have at least one")
        for index, weight in enumerate(self.level_weights or ()):
            check_between(f"level_weights[{index}]", weight, 0, 100)

    def weights_of(self, levels: int) -> tuple[float, ...]:
        """Weight of each of the network's levels."""
        return self.level_weights or tuple(0.5**level for level in range(levels))

    def at_odds(self) -> list[str]:
        """Faults of options that do not go together."""
        over_all = any(isinstance(term, DiceTerm) and term.mean_over == "all" for term in self.terms)
        if over_all and isinstance(self.class_weights, AdaptiveWeights):
            # A structure that is not there is the smallest of all.
            return ["loss.class_weights: adaptive needs mean_over present, which weighs no absent structure"]
        return []

    def unknown_channels(self, channel_names: tuple[str, ...]) -> list[str]:
        """One fault for each channel that has a weight and does not exist."""
        stated = self.class_weights.weights if isinstance(self.class_weights, FixedWeights) else {}
        return [
            f"loss.class_weights.weights: {name} is not among the channels"
            for name in stated
            if name not in channel_names
        ]
