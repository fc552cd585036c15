"""What is minimised: a weighted sum of terms, over the levels of deep supervision.

`training.losses` computes the terms, one function for each kind.
"""

from dataclasses import dataclass, field
from typing import Literal

from model.checks import check, check_between


@dataclass(frozen=True, kw_only=True)
class DiceTerm:
    """1 - Dice, averaged over the structures that the batch holds."""

    kind: Literal["dice"] = "dice"
    weight: float = 1.0
    """Share of the term in the sum."""

    def __post_init__(self) -> None:
        check_between("weight", self.weight, 0, 100)


@dataclass(frozen=True, kw_only=True)
class FocalTerm:
    """Cross entropy of each voxel, played down where the network is right already (Lin et al. 2017)."""

    kind: Literal["focal"] = "focal"
    weight: float = 1.0
    """Share of the term in the sum."""
    gamma: float = 2.0
    """Exponent that plays down easy voxels; 0 makes the term cross entropy."""

    def __post_init__(self) -> None:
        check_between("weight", self.weight, 0, 100)
        check_between("gamma", self.gamma, 0, 5)


LossTerm = DiceTerm | FocalTerm
"""Any of the terms."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A sum of terms, summed over the levels of deep supervision."""

    terms: tuple[LossTerm, ...] = field(default_factory=lambda: (DiceTerm(), FocalTerm()))
    """What is added up at each level."""
    level_weights: tuple[float, ...] | None = None
    """Weight of each level, full resolution first; missing: 1, 1/2, 1/4 … (FLARE23 low-resource ensemble)."""

    def __post_init__(self) -> None:
        check(bool(self.terms), "terms: must have at least one")
        for index, weight in enumerate(self.level_weights or ()):
            check_between(f"level_weights[{index}]", weight, 0, 100)

    def weights_of(self, levels: int) -> tuple[float, ...]:
        """Weight of each of the network's levels."""
        return self.level_weights or tuple(0.5**level for level in range(levels))
