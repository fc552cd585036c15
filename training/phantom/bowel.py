"""Colon, small bowel, bladder and vessels between organs: unlabelled neighbours that every real scan has."""

from __future__ import annotations

import numpy as np

from training.phantom.bones import spine_block
from training.phantom.canvas import Canvas, Field, carve, overlap
from training.phantom.frame import FloatArray
from training.phantom.organs import Site, moved
from training.phantom.shapes import FAR_MM, ellipsoid, smooth_max
from training.phantom.tissue import Tissues
from training.phantom.torso import true_distance


def fill_lumen(
    canvas: Canvas,
    site: Site,
    field: Field,
    tissues: Tissues,
    *,
    wall_mm: float,
    kind: str,
    within: int | None = None,
) -> None:
    """Paint what a hollow organ holds: `kind` is gas, fluid, contrast, stool, food, mixed or collapsed."""
    rng, region = site.rng, field.region
    if region.empty or kind == "collapsed":
        return
    lumen = field.distance + np.float32(wall_mm)
    liquid: float | FloatArray = tissues["fluid"] + float(rng.normal(4, 8))
    if kind == "contrast":
        liquid = float(rng.uniform(120, 420)) + 25 * site.frame.noise(region, 30, rng)
    elif kind in ("stool", "food"):
        noise = site.frame.noise(region, 7 if kind == "stool" else 12, rng)
        liquid = np.float32(30) + 25 * noise
        if kind == "stool" or rng.random() < 0.5:
            liquid = np.where(noise > 0.75, np.float32(rng.uniform(-700, -250)), liquid)
    canvas.paint(Field(region, lumen), liquid, within=within)
    if kind in ("gas", "mixed", "food") or (kind == "stool" and rng.random() < 0.5):
        # Gas rises to the front of a patient who lies on the back; the level is flat.
        deep = lumen < -1
        if not deep.any():
            return
        front, rear = np.quantile(region.y[deep], [0.02, 0.98])
        level = rear + 30 if kind == "gas" else front + (rear - front) * float(rng.uniform(0.15, 0.7))
        canvas.paint(Field(region, np.maximum(lumen, region.y - np.float32(level))), -980.0, within=within)


def paint_bowel(canvas: Canvas, site: Site, tissues: Tissues, organs: dict[str, Field]) -> None:
    """Small bowel loops first, then the colon around them; none of them enters an organ."""
    taken = _obstacle(site, organs)
    _paint_twigs_in_fat(canvas, site, tissues, taken)
    contrast = site.rng.random() < 0.25
    # In the lean, bowel fills what fat does not.
    loops = float(np.interp(site.torso.habitus.visceral, [0.2, 1.0, 2.0], [44, 26, 15])) * float(
        site.rng.uniform(0.7, 1.2)
    )
    for _ in range(int(loops)):
        _small_bowel_loop(canvas, site, tissues, taken, contrast=contrast)
    _bladder(canvas, site, tissues)
    _colon(canvas, site, tissues, taken)


def _paint_twigs_in_fat(canvas: Canvas, site: Site, tissues: Tissues, taken: Field) -> None:
    """A web of small vessels in the fat of mesentery and omentum: where two noise fields vanish together."""
    region = site.frame.region((-115, -125, -230), (115, -10, 70))
    if region.empty:
        return
    web = np.hypot(
        site.frame.noise(region, 30, site.rng), site.frame.noise(region, 30, site.rng)
    ) - np.float32(0.085)
    web = np.maximum(true_distance(site.frame, web), site.torso.belly[region.slices] + np.float32(4))
    canvas.paint(carve(Field(region, web), taken, 2.0, 1.0), tissues["portal vein"] * 0.7)


def _obstacle(site: Site, organs: dict[str, Field]) -> Field:
    """All organs and the spine in one field."""
    whole = site.frame.whole()
    distance = np.full(whole.shape, FAR_MM, dtype=np.float32)
    column = site.frame.region((-90, -90, -290), (90, 40, 40))
    distance[column.slices] = np.minimum(spine_block(column), FAR_MM)
    for field in organs.values():
        boxes = overlap(whole, field.region)
        if boxes is not None:
            np.minimum(distance[boxes[0]], field.distance[boxes[1]], out=distance[boxes[0]])
    return Field(whole, distance)


def _small_bowel_loop(canvas: Canvas, site: Site, tissues: Tissues, taken: Field, *, contrast: bool) -> None:
    rng = site.rng
    low, high = np.array([-80.0, -108.0, -220.0]), np.array([88.0, -45.0, -25.0])
    if rng.random() < 0.3:
        # The first loops of jejunum lie up on the left, below stomach and spleen.
        low, high = np.array([25.0, -100.0, -70.0]), np.array([98.0, -25.0, 25.0])
    here = rng.uniform(low, high)
    points = []
    radius = float(rng.uniform(8.5, 14))
    for _ in range(int(rng.integers(5, 9))):
        points.append([*here, radius * float(rng.uniform(0.8, 1.15))])
        step = rng.normal(0, 1, 3) * np.array([1.2, 0.6, 0.8])
        here = np.clip(here + 38 * step / np.linalg.norm(step), low, high)
    field = _fit(site, site.path_field(points, spacing_mm=4, bumps=[(12, 1.3)]), taken)
    if field.region.empty:
        return
    canvas.paint(field, tissues["bowel wall"])
    kinds, odds = ("collapsed", "fluid", "contrast", "mixed", "gas"), (0.4, 0.4, 0.0, 0.12, 0.08)
    kind = "contrast" if contrast and rng.random() < 0.6 else str(rng.choice(kinds, p=odds))
    fill_lumen(canvas, site, field, tissues, wall_mm=2.3, kind=kind)


def _colon_courses(sag: float, lift: float) -> tuple[list[tuple[float, float, float, float]], ...]:
    """Ascending, transverse, descending and sigmoid colon; (x, y, z, radius) in mm.

    `sag` lowers the middle of the transverse colon, `lift` raises the left flexure.
    """
    return (
        [
            (-84, -50, -168, 22),
            (-95, -28, -135, 25),
            (-99, -18, -95, 23),
            (-96, -22, -62, 21),
            (-88, -42, -50, 20),
        ],
        [
            (-88, -42, -50, 20),
            (-74, -84, -62 + sag / 2, 20),
            (-30, -104, -74 + sag, 20),
            (20, -104, -70 + sag, 20),
            (62, -94, -32 + sag / 2, 20),
            (94, -58, lift - 10, 20),
            (100, -22, lift, 18),
        ],
        [
            (100, -22, lift, 18),
            (103, 2, -20, 16),
            (102, 4, -80, 15),
            (96, -10, -130, 15),
            (84, -34, -165, 15),
        ],
        [
            (84, -34, -165, 15),
            (58, -62, -190, 14),
            (20, -48, -205, 14),
            (4, -10, -215, 14),
            (0, 14, -250, 17),
            (0, 22, -285, 16),
        ],
    )


def _colon(canvas: Canvas, site: Site, tissues: Tissues, taken: Field) -> None:
    rng = site.rng
    wide = float(rng.uniform(0.7, 1.15))
    sag, lift = float(rng.uniform(-25, 15)), float(rng.uniform(5, 50))
    for course in _colon_courses(sag, lift):
        spread = rng.normal(0, 4, (len(course), 3))
        spread[[0, -1]] = 0
        field = site.path_field(
            moved(course, (0, 0, 0), wide, spread), spacing_mm=4, bumps=[(26, 3.2), (14, 1.5)]
        )
        field = _fit(site, field, taken)
        if field.region.empty:
            continue
        canvas.paint(field, tissues["bowel wall"])
        kind = str(
            rng.choice(
                ["stool", "gas", "mixed", "collapsed", "fluid", "contrast"],
                p=[0.45, 0.2, 0.15, 0.1, 0.05, 0.05],
            )
        )
        fill_lumen(canvas, site, field, tissues, wall_mm=2.2, kind=kind)


def _fit(site: Site, field: Field, taken: Field) -> Field:
    """Keep a loop inside the belly and off the organs."""
    if field.region.empty:
        return field
    inside = smooth_max(field.distance, site.torso.belly[field.region.slices] + np.float32(2.5), 4)
    return carve(
        Field(field.region, inside), taken, float(site.rng.uniform(0.3, 3.0)) * site.torso.habitus.visceral
    )


def _bladder(canvas: Canvas, site: Site, tissues: Tissues) -> None:
    fill = float(site.rng.uniform(0.6, 1.2))
    region = site.frame.region((-60, -120, -310), (60, -10, -200))
    if region.empty:
        return
    distance = site.rough(
        region, ellipsoid(region, (0, -72, -258), (44 * fill, 30 * fill, 34 * fill)), [(50, 2)]
    )
    canvas.paint(Field(region, distance), tissues["bowel wall"])
    canvas.paint(Field(region, distance + np.float32(3)), tissues["urine"])


def paint_vessels(canvas: Canvas, site: Site, tissues: Tissues) -> None:
    """Portal system, branches of the aorta and the iliac vessels; arteries over veins."""
    veins = (
        [
            (76, -14, 34, 3.5),
            (48, -38, 18, 4),
            (18, -56, 8, 4.5),
            (-8, -60, -4, 6),
            (-18, -56, 10, 6.5),
            (-32, -54, 24, 6.5),
        ],
        [(-8, -60, -4, 6), (-8, -66, -40, 5.5), (-12, -76, -90, 4.5), (-30, -84, -140, 3)],
    )
    cava = (
        [(-22, -36, 0, 4), (-2, -45, -10, 3.6), (14, -45, -14, 3.6), (34, -22, -18, 4), (52, -2, -20, 4)],
        [(-22, -34, -22, 4), (-36, -20, -28, 4), (-54, -2, -32, 4)],
        [(-14, -32, -130, 7.5), (-32, -30, -165, 6.5), (-58, -52, -215, 6.5), (-72, -80, -280, 6.5)],
        [
            (-14, -32, -130, 7.5),
            (18, -24, -150, 6.5),
            (40, -32, -175, 6.5),
            (58, -54, -215, 6.5),
            (72, -80, -280, 6.5),
        ],
    )
    arteries = (
        [(8, -32, 12, 4.5), (7, -46, 12, 4.2), (4, -55, 14, 4)],
        [(4, -55, 14, 4), (24, -54, 16, 2.8), (50, -36, 26, 2.6), (78, -14, 36, 2.4)],
        [(4, -55, 14, 4), (-14, -62, 14, 2.8), (-32, -60, 22, 2.4)],
        [(8, -32, 2, 4.2), (7, -47, -6, 4.2), (6, -57, -40, 3.8), (2, -70, -100, 3), (-20, -80, -140, 2)],
        [(8, -32, -10, 3.2), (-16, -22, -14, 3), (-50, -2, -30, 2.6)],
        [(8, -32, -10, 3.2), (30, -20, -14, 3), (52, 0, -22, 2.6)],
        [(3, -34, -119, 6), (-22, -38, -160, 5.2), (-56, -60, -215, 5), (-72, -88, -280, 5)],
        [(3, -34, -119, 6), (26, -38, -160, 5.2), (56, -60, -215, 5), (72, -88, -280, 5)],
    )
    for paths, tissue in ((veins, "portal vein"), (cava, "cava"), (arteries, "aorta")):
        for path in paths:
            spread = site.rng.normal(0, 1.5, (len(path), 3))
            spread[[0, -1]] = 0
            field = site.path_field(moved(path, (0, 0, 0), site.factor(0.1), spread), spacing_mm=1.5)
            canvas.paint(field, tissues[tissue])
    _mesenteric_twigs(canvas, site, tissues)


def _mesenteric_twigs(canvas: Canvas, site: Site, tissues: Tissues) -> None:
    """Small vessels from the mesenteric root out to the bowel."""
    rng = site.rng
    for _ in range(int(rng.integers(30, 60))):
        start = np.array([rng.normal(0, 5), -66 - rng.uniform(0, 10), rng.uniform(-130, -30)])
        end = np.array([rng.uniform(-80, 85), rng.uniform(-108, -70), start[2] - rng.uniform(0, 60)])
        middle = (start + end) / 2 + rng.normal(0, 8, 3)
        field = site.path_field([[*start, 1.9], [*middle, 1.6], [*end, 1.2]], spacing_mm=1.5)
        canvas.paint(field, tissues["portal vein"])
