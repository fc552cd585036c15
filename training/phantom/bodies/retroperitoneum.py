"""What lies around the aorta, kidneys and adrenal glands in patients, and in no map of whole bodies.

The crura of the diaphragm are bands of muscle beside the aorta, against which the adrenal glands lie and for
which thick crura are taken; the quadratus lumborum lies behind each kidney; renal vessels cross behind
pancreas and duodenum; of the branches of the celiac trunk the splenic artery runs in bends along the upper
border of the pancreas, the common hepatic one to the gate of the liver (Gray's Anatomy). Maps leave these
voxels empty.

No structure of the map gives way to them. What has no place, such as vessels of a kidney that the map lacks,
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.bodies.additions import Additions, Course, Points

_QUADRATUS_MM = (-100.0, 15.0)
_CRURA_REACH_MM = 26.0
_BESIDE_SPINE_MM = 28.0
"""How far from the middle of the back's muscles the quadrati begin."""


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """All that is drawn for one patient. Heights are canonical, mm; pairs are right and left."""

    crura_mm: Points
    """Thickness of the crura where they are thickest."""
    crura_end_mm: Points
    """Heights of their lower ends: the right one reaches farther down."""
    celiac_mm: float
    """Height at which the celiac trunk leaves the aorta, above the superior mesenteric artery."""
    arch_mm: float
    """Height from which the crura are one before the aorta: just above the trunk."""
    renal_artery_mm: Points
    """Heights at which they leave the aorta."""
    renal_vein_mm: Points
    """Heights at which they reach the vena cava; the left one passes below the superior mesenteric artery."""
    artery_radius_mm: Points
    vein_radius_mm: Points
    celiac_radius_mm: float
    quadratus_mm: float
    """Thickness of the quadrati lumborum."""
    bends_mm: float
    """By how much the splenic artery swings to each side."""
    bends: float
    """How many of its bends lie between trunk and spleen."""
    phase: float
    """Where in a bend it begins, in radians."""


def _draw(rng: np.random.Generator) -> _Draws:
    right_end_mm = float(rng.uniform(-75, -40))
    celiac_mm = float(rng.uniform(14, 24))
    return _Draws(
        crura_mm=rng.uniform(2.0, [9.0, 7.0]),
        crura_end_mm=np.array([right_end_mm, right_end_mm + rng.uniform(8, 30)]),
        celiac_mm=celiac_mm,
        arch_mm=celiac_mm + float(rng.uniform(2, 8)),
        renal_artery_mm=rng.uniform(-22, -8, 2),
        renal_vein_mm=rng.uniform(-28, -14, 2),
        artery_radius_mm=rng.uniform(2.0, 3.5, 2),
        vein_radius_mm=rng.uniform(3.0, 6.0, 2),
        celiac_radius_mm=float(rng.uniform(2.2, 4.0)),
        quadratus_mm=float(rng.uniform(5, 15)),
        bends_mm=float(rng.uniform(0, 9)),
        bends=float(rng.uniform(2, 5)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def lay_retroperitoneum(whole: Additions, rng: np.random.Generator) -> None:
    """Add crura, quadrati lumborum, renal vessels and branches of the celiac trunk, in fat.

    Args:
        whole: the patient's map.
        rng: source of all randomness.
    """
    draws = _draw(rng)
    aorta, cava = whole.course("aorta"), whole.course("inferior_vena_cava")
    if aorta is not None:
        for side, name in enumerate(("right", "left")):
            kidney = whole.voxels(f"kidney_{name}")
            if not len(kidney):
                continue
            _lay_renal_artery(whole, aorta, cava, kidney.mean(0), draws, side, name)
            if cava is not None:
                _lay_renal_vein(whole, aorta, cava, kidney.mean(0), draws, side, name)
        _lay_celiac_branches(whole, aorta, draws)
        _lay_crura(whole, aorta, draws)
    _lay_quadrati(whole, draws)


def _lay_renal_artery(
    whole: Additions, aorta: Course, cava: Course | None, kidney: Points, draws: _Draws, side: int, name: str
) -> None:
    """From the aorta to the middle of the kidney; the right one behind the vena cava."""
    radius_mm = float(draws.artery_radius_mm[side])
    z = whole.z_of(float(draws.renal_artery_mm[side]))
    way = [aorta.at(z)]
    if side == 0 and cava is not None:
        way.append(cava.at(z, "back") + whole.mm(0, radius_mm + 1, 0))
    way.append(kidney)
    whole.lay_tube(f"renal_artery_{name}", whole.way(way), radius_mm)


def _lay_renal_vein(
    whole: Additions, aorta: Course, cava: Course, kidney: Points, draws: _Draws, side: int, name: str
) -> None:
    """From the kidney, before its artery, to the vena cava; the left one before the aorta."""
    radius_mm = float(draws.vein_radius_mm[side])
    z = whole.z_of(float(draws.renal_vein_mm[side]))
    way = [cava.at(z)]
    if side == 1:
        # Level over the width of the aorta.
        before = aorta.at(z, "front") - whole.mm(0, radius_mm + 1, 0)
        way += [before - whole.mm(0, 0, 8), before + whole.mm(0, 0, 12)]
    way.append(kidney - whole.mm(0, 5, 0))
    whole.lay_tube(f"renal_vein_{name}", whole.way(way), radius_mm)


def _lay_celiac_branches(whole: Additions, aorta: Course, draws: _Draws) -> None:
    """The trunk forward, and from its end the splenic artery and the common hepatic one."""
    z = whole.z_of(draws.celiac_mm)
    if not aorta.z[0] <= z <= aorta.z[-1]:
        return
    end = aorta.at(z, "front") - whole.mm(3, 16, 0)
    ways = [(whole.way([aorta.at(z), end]), 1.0)]
    spleen, liver = whole.voxels("spleen"), whole.voxels("liver")
    portal = whole.voxels("portal_vein_and_splenic_vein")
    if len(spleen):
        way = whole.way([end, *_upper_border(whole, end), spleen.mean(0)])
        along = np.linspace(0, 1, len(way))
        turn = 2 * np.pi * draws.bends * along + draws.phase
        swing_mm = draws.bends_mm * np.sin(np.pi * along)
        swings = np.stack([swing_mm * np.sin(turn), swing_mm * np.cos(turn), 0 * swing_mm], axis=1)
        ways.append((way + swings / whole.spacing, 0.8))
    if len(liver) and len(portal):
        # The gate of the liver is where the portal vein comes nearest to its middle.
        away = np.linalg.norm((portal - liver.mean(0)) * whole.spacing, axis=1)
        gate = portal[away.argmin()] - whole.mm(0, 8, 0)
        ways.append((whole.way([end, gate]), 0.8))
    for way, share in ways:
        whole.lay_tube("celiac_branches", way, share * draws.celiac_radius_mm)


def _upper_border(whole: Additions, end: Points) -> list[Points]:
    """Points above the pancreas to the left of the celiac trunk's end, towards its tail."""
    pancreas = whole.voxels("pancreas")
    left = pancreas[pancreas[:, 2] > end[2] + whole.mm(0, 0, 10)[2]]
    points = []
    for share in (0.25, 0.5, 0.75) if len(left) else ():
        x = round(left[:, 2].min() + share * float(np.ptp(left[:, 2])))
        plane = left[left[:, 2] == x]
        if len(plane):
            top = plane[plane[:, 0] == plane[:, 0].max()].mean(0)
            points.append(top + whole.mm(3, 0, 0))
    return points


def _lay_crura(whole: Additions, aorta: Course, draws: _Draws) -> None:
    """Bands along the aorta's sides and the front of the spine, before the aorta from the arch up."""
    reach = np.ceil(_CRURA_REACH_MM / whole.spacing).astype(int)
    levels = slice(int(aorta.z[0]), int(aorta.z[-1]) + 1)
    sides = (
        slice(max(0, int(along.min()) - r), int(along.max()) + r + 1)
        for along, r in ((aorta.y, reach[1]), (aorta.x, reach[2]))
    )
    box = (levels, *sides)
    pillar = np.isin(whole.labels[box], whole.body.of("aorta", "vertebrae", "intervertebral_discs"))
    z, y, x = np.ogrid[tuple(slice(s.start, s.start + n) for s, n in zip(box, pillar.shape, strict=True))]
    height_mm = whole.heights_mm(box[0])[:, None, None]
    middle_y, middle_x = (np.interp(z, aorta.z, along) for along in (aorta.y, aorta.x))
    is_left = x > middle_x
    side_mm = whole.spacing[2] * np.abs(x - middle_x)
    front_mm = whole.spacing[1] * (middle_y - y)
    thick_mm = np.zeros(pillar.shape)
    for left, full_mm, end_mm in zip((False, True), draws.crura_mm, draws.crura_end_mm, strict=True):
        # From tendons on the vertebrae to full muscle within 3 cm; gone at the dome of the diaphragm.
        share = np.clip((height_mm - end_mm) / 30, 0, 1) * np.interp(height_mm, [25, 65], [1, 0])
        thick_mm = np.where(is_left == left, full_mm * share, thick_mm)
    # Open in front below the arch; above it they are one, and thinner there.
    thick_mm *= np.where(front_mm > 8, np.where(height_mm > draws.arch_mm, 0.7, 0.0), 1.0)
    # They thin out to the sides, and along the spine to the back.
    thick_mm *= np.clip((_CRURA_REACH_MM - side_mm) / 8, 0, 1) * np.clip((28 + front_mm) / 14, 0, 1)
    whole.lay_sheet("diaphragm_crura", box, pillar, thick_mm)


def _lay_quadrati(whole: Additions, draws: _Draws) -> None:
    """Plates before and beside the back's muscles, from the lowest rib to the pelvis."""
    low_mm, high_mm = _QUADRATUS_MM
    low, high = np.clip(np.rint(whole.z_of(np.array(_QUADRATUS_MM))), 0, len(whole.labels)).astype(int)
    muscles = np.concatenate([whole.voxels(f"autochthon_{name}") for name in ("right", "left")])
    muscles = muscles[(muscles[:, 0] >= low) & (muscles[:, 0] < high)]
    if not len(muscles):
        return
    reach = np.ceil(draws.quadratus_mm / whole.spacing).astype(int)
    first, last = np.maximum(muscles.min(0) - reach, 0), muscles.max(0) + reach + 1
    box = (slice(low, high), slice(first[1], last[1]), slice(first[2], last[2]))
    back = np.isin(whole.labels[box], whole.body.of("autochthon"))
    _, y, x = np.ogrid[tuple(slice(n) for n in back.shape)]
    count = np.maximum(back.sum((1, 2), keepdims=True), 1)
    middle_y, middle_x = ((back * along).sum((1, 2), keepdims=True) / count for along in (y, x))
    height_mm = whole.heights_mm(box[0])
    # Thinner towards rib and pelvis.
    share = np.clip(np.minimum(height_mm - low_mm, high_mm - height_mm) / 25, 0, 1)[:, None, None]
    beside = (whole.spacing[2] * np.abs(x - middle_x) > _BESIDE_SPINE_MM) & (y < middle_y)
    whole.lay_sheet("quadratus_lumborum", box, back, draws.quadratus_mm * share * beside)
