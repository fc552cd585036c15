"""Which patches make a batch; `training.data.sampling` draws them."""

from dataclasses import dataclass

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Every epoch shows each case once.

    A patch is centred on a voxel of a channel that is drawn evenly from those present in the case.
    """

    batch_size: int = 1
    """Patches per step."""
    background_share: float | None = None
    """Share of patches centred on the background, 0 to 1; the others are centred on each structure equally
    often. Missing: the background counts as one structure among the others, and what lies far from all organs
    is hardly seen."""

    def __post_init__(self) -> None:
        check_between("batch_size", self.batch_size, 1, 64)
        if self.background_share is not None:
            check_between("background_share", self.background_share, 0, 1)
