"""How patches are varied; `training.augmentation` does it."""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_between
from training.recipes.batched_augmentation_options import BatchedAugmentation


@dataclass(frozen=True, kw_only=True)
class PatchAugmentation:
    """Patches are varied one by one, as they are cut, on the CPU. Chances are per patch, 0 to 1.

    This is the kind of a recipe that names none. Intensities are in network units: with `window` intensity 1
    is the whole width of the window.
    """

    kind: Literal["patches"] = "patches"
    affine_chance: float = 0.5
    """Chance of rotation and scaling together."""
    rotation_deg: float = 15.0
    """Largest rotation in the axial plane, degrees, to either side."""
    scale: float = 0.15
    """Largest relative change of size in the axial plane; along z a quarter of it."""
    slab_chance: float = 0.0
    """Chance that only a slab of the image is left, as in a short field of view, so that organs are learned
    without their surroundings."""
    slab_voxels: tuple[int, int] = (16, 48)
    """Least and largest thickness of such a slab along z."""
    flip_axes: tuple[Literal["z", "y", "x"], ...] = ()
    """Axes mirrored with chance 0.5 each. Along x the liver changes sides: not for networks that name
    organs."""
    shift: float = 0.05
    """Largest change of brightness."""
    contrast: float = 0.15
    """Largest relative change of contrast about the patch's mean."""
    gamma: float = 0.2
    """Largest relative change of the exponent in value ** gamma."""
    intensity_chance: float = 0.5
    """Chance of each of shift, contrast and gamma."""
    noise: float = 0.04
    """Largest standard deviation of Gaussian noise."""
    noise_chance: float = 0.3
    """Chance of noise."""
    blur_voxels: float = 1.0
    """Largest sigma of Gaussian blur."""
    blur_chance: float = 0.2
    """Chance of blur."""

    def __post_init__(self) -> None:
        for name in ("affine_chance", "slab_chance", "intensity_chance", "noise_chance", "blur_chance"):
            check_between(name, getattr(self, name), 0, 1)
        check(
            1 <= self.slab_voxels[0] <= self.slab_voxels[1],
            f"slab_voxels: must be two whole numbers from 1, the lower first, is {list(self.slab_voxels)}",
        )
        check_between("rotation_deg", self.rotation_deg, 0, 180)
        for name in ("scale", "shift", "contrast", "gamma", "noise"):
            check_between(name, getattr(self, name), 0, 0.9)
        check_between("blur_voxels", self.blur_voxels, 0, 10)
        twice = len(set(self.flip_axes)) != len(self.flip_axes)
        check(not twice, f"flip_axes: names an axis twice, is {list(self.flip_axes)}")


Augmentation = PatchAugmentation | BatchedAugmentation
"""Either way."""
