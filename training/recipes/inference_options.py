"""How the trained network is run: what export writes into the manifest, in the manifest's own parts."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from model.arrays import Zyx
from model.checks import check, check_between
from model.labels import LABEL_SETS, LabelSet
from model.manifest.clean_up import CleanUpStep, LongestRun, MinVoxels
from model.manifest.fusion import Fusion, MeanFusion
from model.manifest.resampling import LinearResampling, Restoration
from model.manifest.tiling import AxisName, Tiling

LONGEST_RUN = ("liver", "right kidney", "left kidney", "spleen", "pancreas", "aorta")
"""Structures of which only the longest run of slices is kept (FLARE23 low-resource ensemble)."""
SMALLEST_LESION_VOXELS = 100
"""Lesions with fewer voxels are removed (FLARE23 low-resource ensemble)."""
ORGANS, LESIONS = "organs", "lesions"
"""What stands in a clean-up step for all organs, or all lesions, of the label set."""


@dataclass(frozen=True, kw_only=True)
class LocalizationOptions:
    """How a network that finds the foreground bounds the region that others look at."""

    margin_mm: float = 20.0
    """How far the region reaches beyond the organs found."""
    crop_axes: tuple[AxisName, ...] = ("y", "x")
    """Axes along which the region is cut."""
    skip_outside: bool = False
    """Windows farther than `margin_mm` from the organs found are not run; not for bundles that look for
    lesions anywhere."""
    whole_below_mm: float = 0.0
    """Scans that reach less far from feet to head are looked at whole: in a short stack a low-resolution
    network sees too little to cut by."""
    least_ml: float = 0.0
    """Where it finds less than so much of all organs together, no organ is looked for."""
    more_looks: int = 0
    """How often the region may grow where a structure that was found goes on at its side, and be looked at
    again; not with `skip_outside`."""

    def __post_init__(self) -> None:
        check_between("margin_mm", self.margin_mm, 0, 500)
        check_between("least_ml", self.least_ml, 0, 1e4)
        check_between("more_looks", self.more_looks, 0, 9)
        check(not (self.skip_outside and self.more_looks), "skip_outside: not together with more_looks")
        check_between("whole_below_mm", self.whole_below_mm, 0, 500)
        twice = len(set(self.crop_axes)) != len(self.crop_axes)
        check(not twice, f"crop_axes: names an axis twice, is {list(self.crop_axes)}")


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How the trained network is run."""

    window_zyx: Zyx | None = None
    """Voxels that the network sees at a time; missing: as many as in training."""
    any_window: bool = False
    """Whether it was trained for windows of any size, whole volumes among them (LAMP). Inference then gives
    it the largest that memory allows, up to the whole region at once, and `window_zyx` at least. What a
    network with instance norm or squeeze-and-excitation says of a voxel depends on all of the window."""
    tiling: Tiling = field(default_factory=Tiling)
    """How an image is covered by windows: overlap, importance, order, mirroring, skipping."""
    fusion: Fusion = field(default_factory=MeanFusion)
    """How members become one result."""
    restoration: Restoration = field(default_factory=LinearResampling)
    """How the result is interpolated from the network's grid to the image's."""
    clean_up: tuple[CleanUpStep, ...] | None = None
    """Clean-up steps, in order. Besides the label set's structures, `organs` and `lesions` name all of these.
    Structures of the built-in label sets that this one does not have are passed over.
    Missing: those of the FLARE23 low-resource ensemble, as far as the label set has their structures."""
    localization: LocalizationOptions | None = None
    """Only where the network finds the foreground; missing: the defaults of its fields."""

    def clean_up_of(self, labels: LabelSet) -> tuple[CleanUpStep, ...]:
        """The steps for a label set, with every structure named; steps without any are dropped."""
        steps = default_clean_up(labels) if self.clean_up is None else self.clean_up
        named = (
            replace(step, structures=tuple(_named(step, labels))) for step in steps if _any(step, labels)
        )
        return tuple(named)

    def passed_over(self, labels: LabelSet) -> list[str]:
        """Structures that clean-up steps name and the label set does not have, each once."""
        named = (name for step in self.clean_up or () for name in step.structures)
        return [name for name in dict.fromkeys(named) if name not in {ORGANS, LESIONS, *labels.ids}]

    def unknown_structures(self, labels: LabelSet) -> list[str]:
        """One fault for each structure of a clean-up step that neither the label set nor a built-in one has.

        So a recipe whose steps name many organs serves for a few of them, and a misspelt one is told of.
        """
        known = {
            *labels.ids,
            ORGANS,
            LESIONS,
            *(name for built_in in LABEL_SETS.values() for name in built_in.ids),
        }
        return [
            f"inference.clean_up[{index}].structures: {name} is not in label set {labels.name}"
            for index, step in enumerate(self.clean_up or ())
            for name in step.structures
            if name not in known
        ]


def default_clean_up(labels: LabelSet) -> tuple[CleanUpStep, ...]:
    """The longest run of slices of some organs, and no small lesions, as far as the set has them."""
    organs = tuple(name for name in LONGEST_RUN if name in labels.ids)
    runs = (LongestRun(structures=organs),) if organs else ()
    return (*runs, MinVoxels(structures=(LESIONS,), voxels=SMALLEST_LESION_VOXELS))


def _named(step: CleanUpStep, labels: LabelSet) -> Iterator[str]:
    for name in step.structures:
        if name in labels.ids:
            yield name
        elif name in (ORGANS, LESIONS):
            yield from labels.organs if name == ORGANS else labels.lesions


def _any(step: CleanUpStep, labels: LabelSet) -> bool:
    return next(_named(step, labels), None) is not None
