"""Where patches are cut: around voxels of what a case annotates, or anywhere; in the image or a slab of it.

Shapes: images (input channels, z, y, x) float; output channels (z, y, x) uint8; points and centres (z, y, x)
in voxels. All randomness comes from the generator that is handed in: same generator, same patch.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model.arrays import F64, U8, Zyx, counts_of_ids
from model.manifest.tiling import Padding
from training.augmentation.crops import BEYOND
from training.data.stored_arrays import StoredImage, StoredLabels
from training.recipes.recipe import Recipe
from training.recipes.sampling_options import (
    Centre,
    ClassesCentre,
    ForegroundShareCentre,
)

POINTS_PER_CLASS = 4096
"""Voxels remembered of each channel as possible patch centres."""
ANY_CLASS = ClassesCentre()


@dataclass(frozen=True, kw_only=True)
class GridCase:
    """A case on the network's grid, in memory or on disk.

    Image and channels give what is asked for by slices; `[:]` gives all.
    """

    name: str
    image: NDArray[np.floating] | StoredImage
    """Network input, (input channels, z, y, x); half floats where its values have ends and it was not
    prepared."""
    channels: U8 | StoredLabels
    """Output channel of each voxel, (z, y, x); background where the case does not annotate what is there."""
    points: tuple[NDArray[np.int16], ...]
    """For each class that is present and that patches are centred in, in order, some voxels of it, (n, 3)."""
    annotated: tuple[bool, ...] | None = None
    """Whether the case annotates what each output channel stands for; None: all of them."""

    @property
    def size_zyx(self) -> Zyx:
        """Voxels along each axis."""
        z, y, x = self.channels.shape
        return z, y, x

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, bytes."""
        return self.image.nbytes + self.channels.nbytes + sum(points.nbytes for points in self.points)


def class_points(classes: U8, rng: np.random.Generator) -> tuple[NDArray[np.int16], ...]:
    """For each class that is present, in order, up to `POINTS_PER_CLASS` of its voxels, evenly drawn.

    (n, 3) each.
    """
    found = []
    flat = classes.reshape(-1)
    for number in np.flatnonzero(counts_of_ids(classes)):
        where = np.flatnonzero(flat == number)
        if where.size > POINTS_PER_CLASS:
            where = where[rng.integers(where.size, size=POINTS_PER_CLASS)]
        found.append(np.stack(np.unravel_index(where, classes.shape), axis=1).astype(np.int16))
    return tuple(found)


def draw_patch(
    case: GridCase,
    recipe: Recipe,
    rng: np.random.Generator,
    index: int = 0,
    crop_zyx: Zyx | None = None,
) -> tuple[NDArray[np.floating] | NDArray[np.int16], U8]:
    """The crop that a patch is made of, and the output channel of each of its voxels (`draw_crop`).

    `augment_batch` makes the patch of it, on the training device.

    Args:
        case: the case that it is cut from.
        recipe: says how.
        rng: source of randomness.
        index: place of the patch in its batch, over all processes.
        crop_zyx: size of the crop; None: that of the patch.
    """
    slab, patch_zyx = recipe.augmentation.slab, recipe.patch_zyx
    if slab is not None and rng.random() < slab.chance:
        case = draw_slab(case, slab.thickness_voxels, rng)
    around = lies_around(recipe, index, rng)
    centre = draw_centre(case, patch_zyx, rng, recipe.sampling.where, around=around)
    return draw_crop(case, centre, crop_zyx or patch_zyx, recipe.inference.tiling.padding)


def draw_crop(
    case: GridCase, centre: F64, crop_zyx: Zyx, padding: Padding = "zeros"
) -> tuple[NDArray[np.floating] | NDArray[np.int16], U8]:
    """The image around a centre as it is, (input channels, *crop_zyx), and the output channel of each voxel.

    For augmentation on the training device. Network input, 0 beyond the image; or, where stored values can
    be normalized there, these int16, `BEYOND` beyond the image. Above and below it the end slices may be
    repeated, with their channels. Reads from disk no more than the crop.
    """
    low = np.round(centre - np.array(crop_zyx) / 2).astype(int)
    beyond = 0
    if isinstance(case.image, StoredImage) and case.image.can_wait:
        case, beyond = replace(case, image=cast(Any, case.image.values)), BEYOND
    box, _ = read_box(case, low, low + np.array(crop_zyx))
    if box.size_zyx == crop_zyx:
        return box.image[:], box.channels[:]
    ahead = np.maximum(-low, 0)
    after = np.array(crop_zyx) - box.channels.shape - ahead
    z, y, x = zip(ahead.tolist(), after.tolist(), strict=True)
    image, channels = box.image[:], box.channels[:]
    if padding == "end_slices":
        image = np.pad(image, [(0, 0), z, (0, 0), (0, 0)], "edge")
        channels = np.pad(channels, [z, (0, 0), (0, 0)], "edge")
        z = (0, 0)
    image = np.pad(image, [(0, 0), z, y, x], constant_values=beyond)
    return image, np.pad(channels, [z, y, x])


def read_box(
    case: GridCase, low_zyx: NDArray[np.integer], high_zyx: NDArray[np.integer]
) -> tuple[GridCase, NDArray[np.integer]]:
    """The part of a case in a box, as far as the image reaches, in memory; and the voxel it begins at."""
    size = np.array(case.size_zyx)
    low, high = np.clip(low_zyx, 0, size), np.clip(high_zyx, 0, size)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return replace(case, image=case.image[:, z, y, x], channels=case.channels[z, y, x], points=()), low


def draw_slab(case: GridCase, thickness_voxels: tuple[int, int], rng: np.random.Generator) -> GridCase:
    """The case as a shorter scan would show it: some slices, among them one of a class drawn evenly.

    Args:
        case: that it is cut from.
        thickness_voxels: least and most slices.
        rng: source of randomness.
    """
    depth = case.size_zyx[0]
    thickness = min(depth, int(rng.integers(thickness_voxels[0], thickness_voxels[1] + 1)))
    points = case.points[rng.integers(len(case.points))]
    start = int(points[rng.integers(len(points)), 0]) - int(rng.integers(thickness))
    start = min(max(start, 0), depth - thickness)
    inside = slice(start, start + thickness)
    left = (
        points[(points[:, 0] >= start) & (points[:, 0] < inside.stop)] - np.array([start, 0, 0], np.int16)
        for points in case.points
    )
    return replace(
        case,
        image=case.image.slices(inside) if isinstance(case.image, StoredImage) else case.image[:, inside],
        channels=(
            case.channels.slices(inside) if isinstance(case.channels, StoredLabels) else case.channels[inside]
        ),
        points=tuple(points for points in left if len(points)),
    )


def lies_around(recipe: Recipe, index: int, rng: np.random.Generator) -> bool:
    """Whether a patch is one of those of its batch that `foreground_share` puts around a structure.

    Always true for the other kinds of centre, which draw no number for it.
    """
    centre, size = recipe.sampling.where, recipe.sampling.patches
    if not isinstance(centre, ForegroundShareCentre):
        return True
    first = round(size * (1 - centre.share))
    return index >= first if first < size else bool(rng.random() < centre.share)


def draw_centre(
    case: GridCase,
    patch_zyx: Zyx,
    rng: np.random.Generator,
    centre: Centre = ANY_CLASS,
    *,
    around: bool = True,
) -> F64:
    """A voxel as the recipe wants it, moved inwards so that the patch stays in the image.

    Along an axis on which the image is shorter than the patch it is the image's middle.

    Args:
        case: the case; its first class is the background.
        patch_zyx: size of the patch.
        rng: source of randomness.
        centre: which voxels are drawn how often.
        around: for `foreground_share`, whether this patch lies around a structure (`lies_around`).
    """
    half = np.array(patch_zyx) / 2
    size = np.array(case.size_zyx, np.float64)
    points = _points(case, rng, centre, around=around)
    if points is None:
        point = half + rng.random(3) * np.maximum(size - 2 * half, 0)
    else:
        point = points[rng.integers(len(points))].astype(np.float64)
    return np.where(size <= 2 * half, size / 2, np.clip(point, half, np.maximum(half, size - half)))


def _points(
    case: GridCase, rng: np.random.Generator, centre: Centre, *, around: bool
) -> NDArray[np.int16] | None:
    """The voxels among which a centre is drawn; None for all."""
    present = len(case.points)
    if isinstance(centre, ForegroundShareCentre):
        return case.points[rng.integers(1, present)] if around and present > 1 else None
    if isinstance(centre, ClassesCentre) or present == 1:
        return case.points[rng.integers(present)]
    if rng.random() < centre.share:
        return case.points[0]
    return case.points[rng.integers(1, present)]
