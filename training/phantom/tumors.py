"""Tumors in, on and outside organs."""

from __future__ import annotations

import numpy as np

from model.labels import FLARE23
from training.phantom.anatomy import Organs
from training.phantom.canvas import Canvas, Field, overlap
from training.phantom.organs import Site, tilt
from training.phantom.shapes import Point, ellipsoid
from training.phantom.tissue import Tissues

TUMOR = FLARE23.ids["tumor"]

# Where tumors are looked for, and how often; "belly" is the fat between organs (nodes, implants).
_SITES = {
    "liver": 0.34, "right kidney": 0.1, "left kidney": 0.1, "pancreas": 0.13, "spleen": 0.03, "stomach": 0.07,
    "belly": 0.17,
    "right adrenal gland": 0.03, "left adrenal gland": 0.03,
}  # fmt: skip


def paint_tumors(canvas: Canvas, site: Site, fields: Organs, tissues: Tissues) -> list[dict[str, object]]:
    """Paint one to five tumors; returns for each its site and diameter in mm."""
    rng = site.rng
    names = [n for n in _SITES if n == "belly" or n in fields]
    odds = np.array([_SITES[n] for n in names])
    first = str(rng.choice(names, p=odds / odds.sum()))
    count = int(rng.choice([1, 2, 3, 5], p=[0.5, 0.25, 0.15, 0.1])) if first in ("liver", "belly") else 1
    painted = []
    for _ in range(count):
        diameter = float(np.clip(rng.lognormal(np.log(22), 0.55), 8, 60))
        centre = _seat(site, fields, first, diameter)
        if centre is not None and _paint_one(canvas, site, centre, diameter, tissues, first):
            painted.append({"site": first, "diameter_mm": round(diameter, 1)})
    return painted


def _seat(site: Site, fields: Organs, name: str, diameter: float) -> Point | None:
    """A random canonical point inside the organ, in a quarter of cases so near its surface that it bulges."""
    if name == "belly":
        region = site.frame.region((-95, -105, -170), (95, 40, 40))
        if region.empty:
            return None
        inside = site.torso.belly[region.slices] < -12
        for field in fields.values():
            boxes = overlap(region, field.region)
            if boxes is not None:
                inside[boxes[0]] &= field.distance[boxes[1]] > 2
    else:
        region = fields[name].region
        depth = 0.0 if site.rng.random() < 0.25 else min(5.0, diameter / 3)
        inside = fields[name].distance < -depth
        if not inside.any():
            inside = fields[name].distance < 0
    places = np.flatnonzero(inside)
    if places.size == 0:
        return None
    place = np.unravel_index(int(places[site.rng.integers(places.size)]), region.shape)
    return float(region.x[place]), float(region.y[place]), float(region.z[place])


def _paint_one(
    canvas: Canvas, site: Site, centre: Point, diameter: float, tissues: Tissues, name: str
) -> bool:
    rng = site.rng
    radius = diameter / 2
    region = site.frame.region(
        (centre[0] - radius * 1.6, centre[1] - radius * 1.6, centre[2] - radius * 1.6),
        (centre[0] + radius * 1.6, centre[1] + radius * 1.6, centre[2] + radius * 1.6),
    )
    if region.empty:
        return False
    stretch = rng.uniform(0.8, 1.25, 3)
    stretch /= np.prod(stretch) ** (1 / 3)
    radii = (radius * float(stretch[0]), radius * float(stretch[1]), radius * float(stretch[2]))
    distance = ellipsoid(region, centre, radii, tilt(*rng.uniform(0, 180, 3)))
    distance = site.rough(
        region, distance, [(max(diameter, 14), 0.07 * diameter), (9, min(1.2, 0.03 * diameter))]
    )
    distance = np.maximum(distance, site.torso.cavity[region.slices] - np.float32(2))
    if not (distance < 0).any():
        return False
    base = (
        tissues["tumor"]
        if name != "liver"
        else min(tissues["tumor"], tissues["liver"] - float(rng.uniform(15, 55)))
    )
    mottle = np.float32(rng.uniform(2, 12)) * site.frame.noise(region, max(8.0, diameter / 2), rng)
    before = int((canvas.labels == TUMOR).sum()) if diameter < 10 else -1
    canvas.paint(Field(region, distance), np.float32(base) + mottle, label=TUMOR)
    if rng.random() < 0.35:
        canvas.paint(Field(region, distance), tissues["tumor rim"] + mottle, within=TUMOR)
        canvas.paint(
            Field(region, distance + np.float32(max(2.0, diameter * 0.12))),
            np.float32(base) + mottle,
            within=TUMOR,
        )
    if diameter > 18 and rng.random() < 0.5:
        core = distance + np.float32(radius * rng.uniform(0.35, 0.6)) + 2 * site.frame.noise(region, 14, rng)
        canvas.paint(Field(region, core), tissues["necrosis"], within=TUMOR)
    return before < 0 or int((canvas.labels == TUMOR).sum()) > before
