"""One patient, painted from the outside in: later paints cover earlier ones."""

from __future__ import annotations

import numpy as np

from training.phantom.anatomy import OPTIONAL, build_organs, paint_organs
from training.phantom.bones import paint_back, paint_hip_planes, paint_pelvis, paint_ribs, paint_spine
from training.phantom.bowel import paint_bowel, paint_vessels
from training.phantom.canvas import Canvas
from training.phantom.maps import AnatomyMap, fit_trunk, sample_organs
from training.phantom.organs import Site
from training.phantom.scanner import paint_arms, paint_table
from training.phantom.tissue import Tissues
from training.phantom.torso import Habitus, build_torso, paint_lungs, paint_torso
from training.phantom.tumors import paint_tumors


def draw_missing(rng: np.random.Generator) -> list[str]:
    """Organs that a surgeon took out of this patient, or that never grew: at most one kidney."""
    odds = {"right kidney": 0.035, "left kidney": 0.035, "gallbladder": 0.1, "spleen": 0.05}
    missing = [name for name in OPTIONAL if rng.random() < odds[name]]
    return missing if not {"right kidney", "left kidney"} <= set(missing) else missing[1:]


def paint_patient(
    canvas: Canvas,
    habitus: Habitus,
    tissues: Tissues,
    rng: np.random.Generator,
    *,
    missing: list[str],
    anatomy: AnatomyMap | None,
) -> list[dict[str, object]]:
    """Paint a whole patient, with procedural organs or those of a label map.

    Returns what tumors were painted.
    """
    torso = build_torso(canvas.frame, habitus, rng)
    if anatomy is None:
        organs = build_organs(Site(canvas.frame, torso, rng), missing)
    else:
        sampled = sample_organs(canvas.frame, anatomy)
        torso = fit_trunk(torso, sampled)
        organs = {name: field for name, field in sampled.items() if name not in missing}
    site = Site(canvas.frame, torso, rng)
    _paint_surroundings(canvas, site, tissues)
    paint_bowel(canvas, site, tissues, organs)
    paint_ribs(canvas, tissues, rng)
    paint_pelvis(canvas, torso, tissues)
    paint_spine(canvas, tissues, rng)
    paint_vessels(canvas, site, tissues)
    paint_organs(canvas, site, organs, tissues)
    return paint_tumors(canvas, site, organs, tissues) if rng.random() < 0.5 else []


def _paint_surroundings(canvas: Canvas, site: Site, tissues: Tissues) -> None:
    """Table, arms, the trunk with its muscles, and the chest."""
    rng = site.rng
    if rng.random() < 0.85:
        paint_table(canvas, site.torso, rng)
    if rng.random() < 0.15:
        paint_arms(canvas, rng, {name: tissues[name] for name in ("skin", "fat", "muscle", "cortical bone")})
    paint_torso(canvas, site.torso, tissues, rng)
    paint_hip_planes(canvas, site.torso, tissues, rng)
    paint_back(canvas, site.torso, tissues, rng)
    paint_lungs(canvas, site.torso, tissues, rng)
