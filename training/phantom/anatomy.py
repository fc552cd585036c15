"""One procedural patient: organs are built and painted with their inner structure, in order of priority."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.labels import FLARE23
from training.phantom import organs
from training.phantom.bowel import fill_lumen
from training.phantom.canvas import Canvas, Field, carve
from training.phantom.frame import FloatArray
from training.phantom.organs import Site
from training.phantom.shapes import ellipsoid, smooth_max
from training.phantom.tissue import Tissues
from training.phantom.torso import true_distance

IDS = FLARE23.ids

# Later organs win where two overlap; thin and small ones come last so that they are not eaten.
PRIORITY = (
    "liver", "spleen", "right kidney", "left kidney", "stomach", "gallbladder", "duodenum", "pancreas",
    "inferior vena cava", "aorta",
    "esophagus", "right adrenal gland", "left adrenal gland",
)  # fmt: skip
OPTIONAL = ("right kidney", "left kidney", "gallbladder", "spleen")

_BUILDERS: dict[str, Callable[[Site], Field]] = {
    "liver": organs.liver,
    "spleen": organs.spleen,
    "right kidney": lambda site: organs.kidney(site, -1)[0],
    "left kidney": lambda site: organs.kidney(site, 1)[0],
    "stomach": organs.stomach,
    "gallbladder": organs.gallbladder,
    "duodenum": organs.duodenum,
    "pancreas": organs.pancreas,
    "inferior vena cava": organs.vena_cava,
    "aorta": organs.aorta,
    "esophagus": organs.esophagus,
    "right adrenal gland": lambda site: organs.adrenal(site, -1),
    "left adrenal gland": lambda site: organs.adrenal(site, 1),
}

# Who yields to whom, and the fat between them, mm.
_MAKE_ROOM = (
    ("liver", "right kidney", 1.0, 7.0), ("liver", "stomach", 0.3, 3.0), ("liver", "gallbladder", 0.0, 0.1),
    ("liver", "right adrenal gland", 1.0, 3.0), ("spleen", "left kidney", 1.0, 6.0),
    ("stomach", "spleen", 1.0, 4.0),
    ("stomach", "left kidney", 3.0, 8.0), ("stomach", "pancreas", 0.8, 4.0),
    ("pancreas", "inferior vena cava", 0.3, 2.0), ("pancreas", "aorta", 2.0, 6.0),
    ("pancreas", "duodenum", 0.0, 0.5),
    ("pancreas", "left kidney", 1.5, 5.0), ("pancreas", "spleen", 0.5, 2.0),
    ("duodenum", "inferior vena cava", 0.3, 2.0), ("duodenum", "aorta", 0.5, 3.0),
    ("duodenum", "right kidney", 1.0, 4.0),
    ("duodenum", "gallbladder", 0.5, 2.0), ("stomach", "gallbladder", 0.5, 2.0),
    ("stomach", "aorta", 3.0, 5.0),
    ("stomach", "left adrenal gland", 2.0, 4.0),
    ("gallbladder", "right kidney", 2.0, 4.0), ("liver", "duodenum", 0.8, 4.0),
    ("liver", "pancreas", 1.5, 5.0),
)  # fmt: skip

# Courses of the large vessels inside the liver: (x, y, z, radius), mm.
_HEPATIC_VEINS = (
    ((-24, -52, 104, 6), (-62, -42, 92, 4.5), (-92, -25, 62, 2.5)),
    ((-24, -54, 104, 6), (-45, -80, 84, 4), (-60, -98, 50, 2.2)),
    ((-22, -54, 106, 5.5), (6, -72, 92, 4), (36, -86, 82, 2.2)),
)
_PORTAL_VEINS = (
    ((-32, -54, 24, 6.5), (-56, -50, 36, 6), (-84, -30, 40, 4), (-104, -18, 22, 2.5)),
    ((-56, -50, 36, 5.5), (-76, -68, 42, 4), (-92, -84, 32, 2.2)),
    ((-32, -54, 24, 6.5), (-14, -66, 42, 5), (4, -86, 52, 4), (30, -92, 66, 2.5)),
)

Organs = dict[str, Field]


def build_organs(site: Site, missing: list[str]) -> Organs:
    """Distance fields of the patient's organs, in order of priority, each making room for its neighbours."""
    built = {name: _BUILDERS[name](site) for name in PRIORITY}
    fields = {name: field for name, field in built.items() if name not in missing and not field.region.empty}
    for name, by, near, far in _MAKE_ROOM:
        gap = site.rng.uniform(near, far)
        if name in fields and by in fields:
            # Planes of fat are thicker here and thinner there.
            region = fields[name].region
            uneven = np.clip(1 + np.float32(0.7) * site.frame.noise(region, 32, site.rng), 0.2, 2.5)
            # Some organs know their distance only to 12 mm; a gap and its rounded edge must end well before.
            uneven = np.minimum(uneven * np.float32(gap * site.torso.habitus.visceral), np.float32(5))
            fields[name] = carve(fields[name], fields[by], uneven)
    return fields


def paint_organs(canvas: Canvas, site: Site, fields: Organs, tissues: Tissues) -> None:
    """Paint every organ and what is inside it."""
    for name in PRIORITY:
        if name in fields:
            _PAINTERS[name](canvas, site, name, fields[name], tissues)


def _solid(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    """An organ of one tissue, with a faint mottle."""
    tissue = {
        "inferior vena cava": "cava",
        "right adrenal gland": "adrenal",
        "left adrenal gland": "adrenal",
    }.get(name, name)
    mottle = np.float32(tissues[tissue]) + np.float32(site.rng.uniform(1, 4)) * site.frame.noise(
        field.region, 18, site.rng
    )
    if name == "spleen" and tissues.phase == "arterial":
        # Red and white pulp fill at different speed: stripes in the first half minute.
        mottle = mottle + np.float32(site.rng.uniform(5, 28)) * site.frame.noise(field.region, 14, site.rng)
    if name == "pancreas":
        clefts = np.clip(site.frame.noise(field.region, 7, site.rng) - np.float32(0.7), 0, 1)
        mottle = mottle - np.float32(site.rng.uniform(5, 70)) * clefts
    canvas.paint(field, mottle, label=IDS[name])


def _cava(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    """Below the kidneys the vein fills late; where renal blood joins, streaks of both run side by side."""
    z = field.region.z
    below = np.clip((-5 - z) / 40, 0, 1)
    late = np.float32(tissues["cava"] - site.rng.uniform(0, 55) * (tissues.phase != "unenhanced"))
    hu = np.float32(tissues["cava"]) * (1 - below) + late * below
    if tissues.phase != "unenhanced":
        hu = hu + np.float32(site.rng.uniform(0, 14)) * site.frame.noise(field.region, 14, site.rng)
    canvas.paint(field, hu, label=IDS[name])


def _aorta(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    canvas.paint(field, tissues["muscle"], label=IDS[name])
    canvas.paint(Field(field.region, field.distance + np.float32(1.0)), tissues["aorta"], within=IDS[name])
    if site.rng.random() < 0.35:
        spots = site.frame.noise(field.region, 9, site.rng) - np.float32(site.rng.uniform(1.5, 2.2))
        plaque = np.maximum(np.abs(field.distance + np.float32(1.0)) - np.float32(1.4), -spots * 3)
        canvas.paint(Field(field.region, plaque), float(site.rng.uniform(350, 900)), within=IDS[name])


def _liver(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    """Parenchyma with patchy fat, hepatic and portal veins, all of them labelled liver."""
    region, rng = field.region, site.rng
    patchy = np.float32(rng.uniform(1, 6)) * site.frame.noise(region, 60, rng) + np.float32(
        2
    ) * site.frame.noise(region, 14, rng)
    canvas.paint(field, np.float32(tissues["liver"]) + patchy, label=IDS[name])
    for paths, tissue in ((_HEPATIC_VEINS, "hepatic vein"), (_PORTAL_VEINS, "portal vein")):
        for path in paths:
            spread = rng.normal(0, 4, (len(path), 3))
            spread[0] = 0
            vessel = site.path_field(organs.moved(path, (0, 0, 0), 1.0, spread), spacing_mm=2)
            canvas.paint(vessel, tissues[tissue], within=IDS[name])
    twigs = np.hypot(site.frame.noise(region, 30, rng), site.frame.noise(region, 30, rng)) - np.float32(0.11)
    twigs = np.maximum(true_distance(site.frame, twigs), field.distance + np.float32(8))
    canvas.paint(
        Field(region, twigs), tissues["portal vein"] * 0.6 + tissues["liver"] * 0.4, within=IDS[name]
    )


def _kidney(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    """Cortex outside, pyramids of medulla between columns of cortex, sometimes a cyst."""
    region, rng = field.region, site.rng
    canvas.paint(field, tissues["renal cortex"], label=IDS[name])
    pyramids = smooth_max(
        field.distance + np.float32(6),
        np.float32(3) * (np.float32(-0.25) - site.frame.noise(region, 17, rng)),
        2,
    )
    canvas.paint(Field(region, pyramids), tissues["renal medulla"], within=IDS[name])
    if rng.random() < 0.18:
        _blobs(canvas, site, field, label=IDS[name], hu=float(rng.uniform(0, 20)), radius_mm=(3, 16))


def _blobs(
    canvas: Canvas, site: Site, field: Field, *, label: int, hu: float, radius_mm: tuple[float, float]
) -> None:
    """One to three balls inside an organ that stay part of it: simple cysts, gallstones."""
    region, rng = field.region, site.rng
    inside = np.flatnonzero(field.distance < -2)
    for _ in range(int(rng.integers(1, 4)) if inside.size else 0):
        place = np.unravel_index(int(inside[rng.integers(inside.size)]), region.shape)
        radius = float(rng.uniform(*radius_mm))
        ball = ellipsoid(
            region,
            (float(region.x[place]), float(region.y[place]), float(region.z[place])),
            (radius, radius, radius),
        )
        canvas.paint(Field(region, ball), hu, within=label)


def _hollow(canvas: Canvas, site: Site, name: str, field: Field, tissues: Tissues) -> None:
    """Wall and content of stomach, duodenum, gallbladder and esophagus."""
    rng = site.rng
    wall, thick, kinds, odds = _HOLLOW[name]
    canvas.paint(field, tissues[wall], label=IDS[name])
    if name == "gallbladder":
        canvas.paint(
            Field(field.region, field.distance + np.float32(thick)), tissues["gallbladder"], within=IDS[name]
        )
        if rng.random() < 0.15:
            _blobs(canvas, site, field, label=IDS[name], hu=float(rng.uniform(70, 450)), radius_mm=(2, 7))
        return
    kind = str(rng.choice(kinds, p=odds))
    wall_mm = thick * float(rng.uniform(0.8, 1.3))
    inner = _folds(site, field, 2.0) if name == "stomach" else field
    fill_lumen(canvas, site, inner, tissues, wall_mm=wall_mm, kind=kind, within=IDS[name])


def _folds(site: Site, field: Field, depth_mm: float) -> Field:
    """Gastric folds: the inner surface is rougher than the outer one."""
    noise: FloatArray = site.frame.noise(field.region, 11, site.rng)
    return Field(field.region, field.distance + np.float32(depth_mm) * np.clip(noise, 0, None))


_HOLLOW: dict[str, tuple[str, float, tuple[str, ...], tuple[float, ...]]] = {
    "stomach": (
        "stomach wall",
        4.0,
        ("mixed", "food", "fluid", "contrast", "gas", "collapsed"),
        (0.38, 0.26, 0.16, 0.08, 0.06, 0.06),
    ),
    "duodenum": ("stomach wall", 2.6, ("collapsed", "fluid", "mixed", "contrast"), (0.48, 0.30, 0.14, 0.08)),
    "gallbladder": ("gallbladder wall", 1.4, ("fluid",), (1.0,)),
    "esophagus": ("esophagus", 4.0, ("collapsed", "gas", "mixed", "fluid"), (0.5, 0.35, 0.08, 0.07)),
}

_PAINTERS: dict[str, Callable[[Canvas, Site, str, Field, Tissues], None]] = {
    **dict.fromkeys(("spleen", "pancreas", "right adrenal gland", "left adrenal gland"), _solid),
    **dict.fromkeys(("stomach", "gallbladder", "duodenum", "esophagus"), _hollow),
    **dict.fromkeys(("right kidney", "left kidney"), _kidney),
    "liver": _liver,
    "inferior vena cava": _cava,
    "aorta": _aorta,
}
