"""MONAI's sliding windows in the words of a manifest."""

from dataclasses import replace
from math import exp

from model.arrays import Zyx
from model.importers.monai.transform_chain import Step
from model.manifest.network import Member, in_zyx_order
from model.manifest.tiling import ConstantImportance, GaussianImportance, Importance, Tiling

LEAST_IMPORTANCE = 1e-3
"""MONAI's floor, absolute."""


def tiled(member: Member, inferer: Step) -> Member:
    """The member with MONAI's windows.

    Raises:
        RefusedModelError: they cannot be expressed.
    """
    if inferer.name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        raise inferer.refuse("cannot be expressed; known is SlidingWindowInferer")
    inferer.check_known(
        roi_size=(), overlap=(), mode=("constant", "gaussian"), sigma_scale=(), padding_mode=("constant",),
        cval=(0, 0.0), with_coord=(False,),
    )  # fmt: skip
    roi = inferer.three("roi_size")
    if not all(side > 0 and side == int(side) for side in roi):
        raise inferer.refuse(f"has roi_size {list(roi)}; must be whole voxels above 0")
    z, y, x = in_zyx_order(member.axes, [int(side) for side in roi])
    overlaps = set(inferer.three("overlap", 0.25))
    sigmas = set(inferer.three("sigma_scale", 0.125))
    if len(overlaps) > 1 or len(sigmas) > 1:
        raise inferer.refuse("has overlap or sigma_scale that differ between axes, which cannot be expressed")
    if min(sigmas) <= 0:
        raise inferer.refuse(f"has sigma_scale {min(sigmas):g}; must be above 0")
    gaussian = inferer.arguments.get("mode", "constant") == "gaussian"
    importance: Importance = (
        gaussian_importance((z, y, x), sigmas.pop()) if gaussian else ConstantImportance()
    )
    try:
        tiling = Tiling(overlap=overlaps.pop(), placement="steps", importance=importance, skip_air=False)
        return replace(member, window_zyx=(z, y, x), tiling=tiling)
    except ValueError as error:
        raise inferer.refuse(f"cannot be expressed: {error}") from error


def gaussian_importance(window_zyx: Zyx, sigma: float) -> GaussianImportance:
    """MONAI's map, whose floor is absolute where ours is relative to the centre.

    The centre of an even axis lies between two voxels, so that the largest value is a little below 1.
    """
    largest = 1.0
    for side in window_zyx:
        offset = 0.0 if side % 2 else 0.5
        largest *= exp(-0.5 * (offset / (side * sigma)) ** 2)
    return GaussianImportance(sigma=sigma, least=min(1.0, LEAST_IMPORTANCE / largest))
