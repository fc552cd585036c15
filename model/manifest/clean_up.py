"""Clean-up of label maps after left and right are told apart: a list of steps, each for some structures.

Sizes are counted on the image's own grid.
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check


@dataclass(frozen=True, kw_only=True)
class _Step:
    structures: tuple[str, ...]
    """Names from `output.labels`; each is cleaned by itself."""

    def __post_init__(self) -> None:
        check(bool(self.structures), "structures: must name at least one")
        check(len(set(self.structures)) == len(self.structures), "structures: a name stands twice")


@dataclass(frozen=True, kw_only=True)
class LargestComponent(_Step):
    """Keep the largest connected component (26 neighbours)."""

    kind: Literal["largest_component"] = "largest_component"
    together: bool = False
    """Take the structures as one, whose largest component is kept (nnU-Net's foreground)."""


@dataclass(frozen=True, kw_only=True)
class LongestRun(_Step):
    """Keep the longest unbroken run of slices along z that hold the structure.

    Source: FLARE23 low-resource ensemble, "largest 1D component".
    """

    kind: Literal["longest_run"] = "longest_run"


@dataclass(frozen=True, kw_only=True)
class MinVoxels(_Step):
    """Remove the structure where it has fewer voxels in total."""

    kind: Literal["min_voxels"] = "min_voxels"
    voxels: int
    """Least number that is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.voxels >= 1, f"voxels: must be 1 or more, is {self.voxels}")


Becomes = Literal["background", "surroundings"]


@dataclass(frozen=True, kw_only=True)
class MinComponentVolume(_Step):
    """Remove connected components that are smaller."""

    kind: Literal["min_component_volume"] = "min_component_volume"
    mm3: float
    """Least volume that is kept, cubic millimetres."""
    becomes: Becomes = "background"
    """What a component that is removed becomes. surroundings: the label that most of its rows end at, so that
    a false lesion leaves no hole in an organ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.mm3 <= 1e9, f"mm3: must be above 0 and at most 1e9, is {self.mm3}")


@dataclass(frozen=True, kw_only=True)
class NearOtherStructures(_Step):
    """Remove connected components that lie farther from every other structure; meant for lesions."""

    kind: Literal["near_other_structures"] = "near_other_structures"
    distance_mm: float
    """Greatest distance that is kept, millimetres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            0 < self.distance_mm <= 500,
            f"distance_mm: must be above 0 and at most 500, is {self.distance_mm}",
        )


@dataclass(frozen=True, kw_only=True)
class MinWholeVolume(_Step):
    """Remove connected components that are smaller though nothing cuts them off.

    What touches the first or last slice, row or column of the image may be a part of something large and
    stays. All else is there as a whole, and an organ is never that small.
    """

    kind: Literal["min_whole_volume"] = "min_whole_volume"
    ml: float
    """Least volume that is kept, millilitres."""
    becomes: Becomes = "background"
    """What a component that is removed becomes; see `MinComponentVolume`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.ml <= 1e4, f"ml: must be above 0 and at most 10000, is {self.ml}")


CleanUpStep = (
    LargestComponent | LongestRun | MinVoxels | MinComponentVolume | MinWholeVolume | NearOtherStructures
)
"""Any of the steps."""
