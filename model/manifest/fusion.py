"""How the outputs of mirrored copies, overlapping windows, members and groups of members become one.

All are weighted means. A *group* is the members that share grid and windows; groups on coarser grids are
brought to the finest one's before the mean, but for `restored_ensembles`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.checks import check
from model.manifest.clean_up import CleanUpStep

Scores = Literal["probabilities", "logits"]
"""What is averaged and restored: probabilities (FLARE23 low-resource ensemble) or logits (nnU-Net)."""


@dataclass(frozen=True, kw_only=True)
class MeanFusion:
    """The mean over all members."""

    kind: Literal["mean"] = "mean"
    of: Scores = "probabilities"
    """What is averaged, over mirrored copies, windows, members and groups alike."""
    over_windows: Scores | None = None
    """What is averaged over mirrored copies and windows, where that is something else: logits, which then
    become each member's probabilities (MONAI)."""

    def __post_init__(self) -> None:
        possible = self.over_windows != "probabilities" or self.of == "probabilities"
        check(possible, "over_windows: probabilities do not become logits again")


@dataclass(frozen=True, kw_only=True)
class FirstThenOrgansFusion:
    """The first member runs alone and decides what the others see. Then the mean.

    Where it found no lesion above or below the organs, the others see only the organs' slices, else
    everything.
    Source: FLARE23 low-resource ensemble.
    """

    kind: Literal["first_then_organs"] = "first_then_organs"
    of: Scores = "probabilities"
    """What is averaged."""


@dataclass(frozen=True, kw_only=True)
class CleanedGroupsFusion:
    """`postprocessing` is applied to each group's own result before the groups are averaged.

    Members that name an `ensemble` form one group with all others of that name, whatever their grids.
    Source: AMOS22, large batches and large patches. What is averaged is probabilities: a structure that
        clean-up removes has probability 0 there.
    """

    kind: Literal["cleaned_groups"] = "cleaned_groups"
    clean_up: Mapping[str, tuple[CleanUpStep, ...]] = field(default_factory=dict)
    """Steps of an ensemble, by its name, instead of `postprocessing`."""


@dataclass(frozen=True, kw_only=True)
class RestoredEnsemblesFusion:
    """The mean over ensembles, each of which is restored to the image's grid by itself.

    Members that name an `ensemble` belong together, others form ensembles by grid and windows. Logits are
    averaged over mirrored copies, windows and the members of an ensemble; on the image's grid they become
    probabilities, of which the mean over ensembles is taken. Source: nnU-Net, `nnUNetv2_ensemble`.
    """

    kind: Literal["restored_ensembles"] = "restored_ensembles"


Fusion = MeanFusion | FirstThenOrgansFusion | CleanedGroupsFusion | RestoredEnsemblesFusion
"""How members become one result."""


def fused_scores(fusion: Fusion) -> Scores:
    """What a fusion averages."""
    return "probabilities" if isinstance(fusion, CleanedGroupsFusion | RestoredEnsemblesFusion) else fusion.of


def window_scores_of(fusion: Fusion) -> Scores:
    """What a fusion averages over mirrored copies and windows."""
    if isinstance(fusion, RestoredEnsemblesFusion):
        return "logits"
    own = fusion.over_windows if isinstance(fusion, MeanFusion) else None
    return own or fused_scores(fusion)
