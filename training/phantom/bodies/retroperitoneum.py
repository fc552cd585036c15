"""What lies around the aorta, kidneys and adrenal glands in patients, and in no map of whole bodies.

The crura of the diaphragm are bands of muscle beside the aorta, against which the adrenal glands lie and for
which thick crura are taken; the quadratus lumborum lies behind each kidney; renal vessels cross behind
pancreas and duodenum; the branches of the celiac trunk run along the upper border of the pancreas, the
splenic one in bends (Gray's Anatomy). Maps leave these voxels empty, so that they became fat.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.bodies.body import DISCS, Body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.mesenteric import aorta_middles
from training.phantom.bodies.tubes import lay_tube

ARTERY, VEIN, MUSCLE = "iliac_artery_left", "iliac_vena_left", "iliopsoas_left"
"""Structures of the same tissue, whose ids are painted."""
_YIELDS = np.arange(256) == 0
_TUBE_STEP_MM = 1.0
_REACH_MM = 34.0
_QUADRATUS_MM = (-100.0, 15.0)
"""Canonical heights between which the quadrati lumborum run."""

_Rows = npt.NDArray[np.float64]


class _Draws(NamedTuple):
    """All that is drawn for one patient, whatever is in view of it."""

    crura_mm: _Rows
    """Thickness of the right and left crus beside the first lumbar vertebra."""
    crura_end_mm: _Rows
    """Canonical heights at which they end, right and left."""
    arch_mm: float
    """Height at which they meet before the aorta."""
    renal_vein_mm: _Rows
    renal_artery_mm: _Rows
    """Radii, right and left."""
    celiac_mm: float
    """Height of the celiac trunk."""
    celiac_artery_mm: float
    quadratus_mm: float
    """Thickness of the quadrati lumborum."""
    bends_mm: float
    bends: float
    phase: float


def _draw(rng: np.random.Generator) -> _Draws:
    return _Draws(
        crura_mm=rng.uniform(2.5, [11.0, 9.0]),
        crura_end_mm=np.array([rng.uniform(-75, -35), rng.uniform(-55, -20)]),
        arch_mm=float(rng.uniform(12, 28)),
        renal_vein_mm=rng.uniform(3.0, 6.0, 2),
        renal_artery_mm=rng.uniform(2.0, 3.5, 2),
        celiac_mm=float(rng.uniform(6, 22)),
        celiac_artery_mm=float(rng.uniform(2.2, 4.0)),
        quadratus_mm=float(rng.uniform(5, 15)),
        bends_mm=float(rng.uniform(0, 9)),
        bends=float(rng.uniform(2, 5)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def paint_retroperitoneum(
    deformed: Deformed, body: Body, step_mm: float, rng: np.random.Generator
) -> list[str]:
    """Paint crura, loin muscles, renal vessels and the branches of the celiac trunk into fat, in place.

    No structure of the map gives way to them.

    Args:
        deformed: the patient; `structures` and `depth_mm` are changed.
        body: the patient's body, for the ids.
        step_mm: spacing of the arrays.
        rng: source of all randomness.

    Returns:
        What is in view, of "renal vessels", "celiac branches", "crura" and "quadrati lumborum".
    """
    draws = _draw(rng)
    if not {"aorta", "inferior_vena_cava", ARTERY, VEIN, MUSCLE} <= body.ids.keys():
        return []
    aorta = aorta_middles(deformed, body.ids["aorta"], -110.0, 110.0)
    if len(aorta) < 2:
        return []
    painted = []
    if _paint_renal_vessels(deformed, body, aorta, draws, step_mm):
        painted.append("renal vessels")
    if _paint_celiac_branches(deformed, body, aorta, draws, step_mm):
        painted.append("celiac branches")
    if _paint_crura(deformed, body, aorta, draws, step_mm):
        painted.append("crura")
    if _paint_quadrati(deformed, body, draws, step_mm):
        painted.append("quadrati lumborum")
    return painted


def _curve(points_zyx: list[_Rows], step_mm: float) -> _Rows:
    """Middles of a tube along a smooth curve through points, in voxels."""
    corners = np.array(points_zyx)
    length_mm = step_mm * np.linalg.norm(np.diff(corners, axis=0), axis=1).sum()
    count = max(2, int(length_mm / _TUBE_STEP_MM))
    along = np.linspace(0, len(corners) - 1, count)
    line = np.stack([np.interp(along, np.arange(len(corners)), c) for c in corners.T], axis=1)
    # Corners are rounded over a third of the distance between points.
    return np.asarray(ndimage.gaussian_filter1d(line, count / len(corners) / 3, axis=0, mode="nearest"))


def _middle(deformed: Deformed, structure: int) -> _Rows | None:
    """Middle (z, y, x) of what is in view of a structure, in voxels."""
    found = ndimage.find_objects((deformed.structures == structure).astype(np.uint8))
    if not found:
        return None
    box = found[0]
    return np.asarray(np.argwhere(deformed.structures[box] == structure).mean(0) + [s.start for s in box])


def _at(rows: _Rows, z: float) -> _Rows:
    """Middle (z, y, x) of a vessel in a slice, from rows of `aorta_middles`; beyond its ends, theirs."""
    order = np.argsort(rows[:, 1])
    return np.array([z, *(np.interp(z, rows[order, 1], rows[order, axis]) for axis in (2, 3))])


def _paint_renal_vessels(deformed: Deformed, body: Body, aorta: _Rows, draws: _Draws, step_mm: float) -> bool:
    """From each kidney to aorta and vena cava; the left vein crosses before the aorta."""
    cava = aorta_middles(deformed, body.ids["inferior_vena_cava"], -110.0, 110.0)
    if len(cava) < 2:
        return False
    shown = False
    for side, name in enumerate(("kidney_right", "kidney_left")):
        kidney = _middle(deformed, body.ids[name]) if name in body.ids else None
        if kidney is None:
            continue
        # Vessels leave aorta and cava a centimetre above the middle of the kidneys.
        z = kidney[0] + 10 / step_mm
        trunk, vein = _at(aorta, z), _at(cava, z)
        before = trunk - np.array([0, 16, 0]) / step_mm
        behind = vein + np.array([0, 14, 0]) / step_mm
        artery_way = [trunk, behind, kidney] if side == 0 else [trunk, (trunk + kidney) / 2, kidney]
        # The vein lies before the artery, both in the kidney's fat.
        vein_kidney = kidney - np.array([0, 5, 0]) / step_mm
        vein_way = (
            [vein, vein_kidney] if side == 0 else [vein, before, (before + vein_kidney) / 2, vein_kidney]
        )
        for way, vessel, radius_mm in (
            (vein_way, VEIN, draws.renal_vein_mm[side]),
            (artery_way, ARTERY, draws.renal_artery_mm[side]),
        ):
            middles = _curve(way, step_mm)
            radii = np.full(len(middles), radius_mm)
            shown |= lay_tube(deformed, body.ids[vessel], middles, radii, step_mm, _YIELDS)
    return shown


def _paint_celiac_branches(
    deformed: Deformed, body: Body, aorta: _Rows, draws: _Draws, step_mm: float
) -> bool:
    """The trunk forward, and from its end the splenic artery in bends and the common hepatic one."""
    if not aorta[0, 0] <= draws.celiac_mm <= aorta[-1, 0]:
        return False
    z = float(np.interp(draws.celiac_mm, aorta[:, 0], aorta[:, 1]))
    origin = _at(aorta, z)
    end = origin + np.array([-3, -26, 0]) / step_mm
    shown = False
    radius_mm = draws.celiac_artery_mm
    ways = [(_curve([origin, end], step_mm), radius_mm)]
    for name, side_mm in (("spleen", 25.0), ("liver", -30.0)):
        organ = _middle(deformed, body.ids[name]) if name in body.ids else None
        if organ is None:
            continue
        beside = end + np.array([2, 4, side_mm]) / step_mm
        # Not farther up or down than a few centimetres, where most of the organ is out of view.
        organ[0] = np.clip(organ[0], end[0] - 30 / step_mm, end[0] + 40 / step_mm)
        middles = _curve([end, beside, (beside + organ) / 2, organ], step_mm)
        if name == "spleen":
            along = np.linspace(0, 1, len(middles))
            turn = 2 * np.pi * draws.bends * along + draws.phase
            swing = draws.bends_mm / step_mm * np.sin(np.pi * along)
            middles = middles + np.stack([swing * np.sin(turn), swing * np.cos(turn), 0 * swing], axis=1)
        ways.append((middles, 0.8 * radius_mm))
    for middles, radius in ways:
        radii = np.full(len(middles), radius)
        shown |= lay_tube(deformed, body.ids[ARTERY], middles, radii, step_mm, _YIELDS)
    return shown


def _paint_crura(deformed: Deformed, body: Body, aorta: _Rows, draws: _Draws, step_mm: float) -> bool:
    """Bands of muscle along the aorta's sides and the vertebrae behind, before the aorta from the arch up."""
    shape = deformed.structures.shape
    reach = int(np.ceil(_REACH_MM / step_mm))
    sides = [
        slice(max(0, int(aorta[:, axis].min()) - reach), min(n, int(aorta[:, axis].max()) + reach + 1))
        for axis, n in ((2, shape[1]), (3, shape[2]))
    ]
    levels = aorta[np.argsort(aorta[:, 1])]
    box = (slice(int(levels[0, 1]), int(levels[-1, 1]) + 1), *sides)
    structures = deformed.structures[box]
    pillar = np.isin(structures, [body.ids["aorta"], *body.of("vertebrae", DISCS)])
    away_mm = step_mm * ndimage.distance_transform_edt(~pillar) - step_mm / 2
    z, y, x = np.ogrid[box]
    height, middle_y, middle_x = (np.interp(z, levels[:, 1], levels[:, column]) for column in (0, 2, 3))
    is_left = x > middle_x
    side_mm, front_mm = step_mm * np.abs(x - middle_x), step_mm * (middle_y - y)
    thick_mm = np.zeros(structures.shape)
    for left, full_mm, end_mm in zip((False, True), draws.crura_mm, draws.crura_end_mm, strict=True):
        # From tendons on the vertebrae to full muscle within 3 cm; thinner towards the dome of the diaphragm.
        taper = np.clip((height - end_mm) / 30, 0, 1) * np.interp(height, [20, 80], [1, 0.5])
        thick_mm = np.where(is_left == left, full_mm * taper, thick_mm)
    # Open in front below the arch; above it they are one, and thinner there.
    thick_mm *= np.where(front_mm > 8, np.where(height > draws.arch_mm, 0.7, 0.0), 1.0)
    # Along the vertebrae they thin out to the sides.
    thick_mm *= np.clip((_REACH_MM - side_mm) / 12, 0, 1) * (height > draws.crura_end_mm.min())
    crus = (structures == 0) & (away_mm > 0.8) & (away_mm < thick_mm)
    structures[crus] = body.ids[MUSCLE]
    deformed.depth_mm[box][crus] = np.minimum(away_mm, thick_mm - away_mm)[crus]
    return bool(crus.any())


def _paint_quadrati(deformed: Deformed, body: Body, draws: _Draws, step_mm: float) -> bool:
    """Plates before and beside the back's muscles, from the lowest rib to the pelvis."""
    low_mm, high_mm = _QUADRATUS_MM
    heights = np.broadcast_to(deformed.canonical_z_mm, deformed.structures.shape)
    back = np.isin(deformed.structures, body.of("autochthon")) & (heights > low_mm) & (heights < high_mm)
    found = ndimage.find_objects(back.astype(np.uint8))
    if not found:
        return False
    reach = int(np.ceil(draws.quadratus_mm / step_mm))
    box = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in found[0])
    back, structures = back[box], deformed.structures[box]
    away_mm = step_mm * ndimage.distance_transform_edt(~back) - step_mm / 2
    _, y, x = np.nonzero(back)
    middle_y, middle_x = y.mean(), x.mean()
    _, y, x = np.ogrid[tuple(slice(n) for n in back.shape)]
    # Thinner towards rib and pelvis, and not behind the back's muscles or before the vertebrae.
    ends_mm = np.minimum(heights[box] - low_mm, high_mm - heights[box])
    thick_mm = draws.quadratus_mm * np.clip(ends_mm / 25, 0, 1)
    beside = (step_mm * np.abs(x - middle_x) > 30) & (y < middle_y)
    plate = (structures == 0) & beside & (away_mm > 0.8) & (away_mm < thick_mm)
    structures[plate] = body.ids[MUSCLE]
    deformed.depth_mm[box][plate] = np.minimum(away_mm, thick_mm - away_mm)[plate]
    return bool(plate.any())
