"""Lesions in and on the organs of a body: what its label map does not hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from model.labels import FLARE23
from training.phantom.frame import FloatArray

TUMOR = FLARE23.ids["tumor"]

SITES = {
    "liver": 0.42, "right kidney": 0.12, "left kidney": 0.12, "pancreas": 0.16, "spleen": 0.06,
    "stomach": 0.04, "right adrenal gland": 0.04, "left adrenal gland": 0.04,
}  # fmt: skip
"""How often an organ is the site of the lesions."""
_DARKER_HU, _BRIGHTER_HU, _NECROSIS_HU = (15.0, 60.0), (15.0, 50.0), (5.0, 25.0)
_LEAST_HU, _AIR_HU, _BONE_HU = 15.0, -150.0, 300.0
_EDGE_MM, _TEXTURE_MM = 3.0, 3.0


def paint_lesions(
    image: FloatArray,
    labels: npt.NDArray[np.uint8],
    spacing_zyx_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Paint one to five lesions into one organ, in place; returns the site and diameter in mm of each.

    An organ's own value is read off the image, and fine texture and noise are kept, so that an image may be
    drawn or scanned already. Nothing happens where there is no organ.

    Args:
        image: (z, y, x) in HU.
        labels: (z, y, x), FLARE23 ids; voxels of lesions become "tumor".
        spacing_zyx_mm: voxel spacing.
        rng: source of all randomness.
    """
    sites = {name: odds for name, odds in SITES.items() if (labels == FLARE23.ids[name]).any()}
    if not sites:
        return []
    odds = np.array(list(sites.values()))
    site = str(rng.choice(list(sites), p=odds / odds.sum()))
    organ = labels == FLARE23.ids[site]
    organ_hu = float(np.median(image[organ]))
    count = int(rng.choice([1, 2, 3, 5], p=[0.5, 0.25, 0.15, 0.1])) if site == "liver" else 1
    painted: list[dict[str, object]] = []
    for _ in range(count):
        diameter_mm = float(np.clip(rng.lognormal(np.log(22), 0.55), 8, 60))
        if _paint_one(image, labels, organ, organ_hu, spacing_zyx_mm, diameter_mm, rng):
            painted.append({"site": site, "diameter_mm": round(diameter_mm, 1)})
    return painted


def _paint_one(
    image: FloatArray,
    labels: npt.NDArray[np.uint8],
    organ: npt.NDArray[np.bool_],
    organ_hu: float,
    spacing_zyx_mm: tuple[float, float, float],
    diameter_mm: float,
    rng: np.random.Generator,
) -> bool:
    """Whether a voxel became one of a lesion somewhere in the organ, which may bulge out of it."""
    spacing = np.asarray(spacing_zyx_mm)
    places = np.flatnonzero(organ)
    centre = np.array(np.unravel_index(int(places[rng.integers(places.size)]), organ.shape))
    radius_mm = diameter_mm / 2
    reach = np.ceil(1.6 * radius_mm / spacing).astype(int)
    box = tuple(slice(max(0, int(c - r)), int(c + r) + 1) for c, r in zip(centre, reach, strict=True))
    part = image[box]
    offsets_mm = [
        (index + np.float32(cut.start - c)) * np.float32(mm)
        for index, c, cut, mm in zip(
            np.indices(part.shape, dtype=np.float32), centre, box, spacing, strict=True
        )
    ]
    stretch = rng.uniform(0.8, 1.25, 3)
    stretch /= np.prod(stretch) ** (1 / 3)
    distance_mm = np.sqrt(sum((o / s) ** 2 for o, s in zip(offsets_mm, stretch, strict=True))) - radius_mm
    rough = ndimage.gaussian_filter(rng.standard_normal(part.shape), diameter_mm / 4 / spacing)
    distance_mm += 0.15 * radius_mm * rough / max(float(rough.std()), 1e-6)
    # Neither gas nor lung nor bone beside the organ becomes a lesion.
    soft = ((part > _AIR_HU) & (part < _BONE_HU)) | organ[box]
    inside = (distance_mm < 0) & soft
    if not inside.any():
        return False
    brighter = rng.random() < 0.15
    hu = organ_hu + float(rng.uniform(*_BRIGHTER_HU) if brighter else -rng.uniform(*_DARKER_HU))
    texture = part - ndimage.gaussian_filter(part, _TEXTURE_MM / spacing)
    _blend(part, distance_mm, max(hu, _LEAST_HU), texture, soft)
    if diameter_mm > 18 and rng.random() < 0.5:
        depth_mm = radius_mm * float(rng.uniform(0.35, 0.6))
        _blend(part, distance_mm + depth_mm, float(rng.uniform(*_NECROSIS_HU)), texture, soft)
    labels[box][inside] = TUMOR
    return True


def _blend(
    part: FloatArray, distance_mm: FloatArray, hu: float, texture: FloatArray, where: npt.NDArray[np.bool_]
) -> None:
    """Bring what lies within the surface to a value, with an edge as soft as partial volume makes it."""
    share = np.where(where, np.clip(0.5 - distance_mm / _EDGE_MM, 0, 1), 0)
    part += share * (hu + texture - part)
