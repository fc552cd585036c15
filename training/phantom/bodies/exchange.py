"""Organs exchanged for those of another body or for drawn ones, so that few bodies make many patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phantom.bodies.body import Body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.mesenteric import ARTERY, VEIN
from training.phantom.bodies.structures import ADDED
from training.phantom.canvas import Field
from training.phantom.frame import FloatArray, Frame
from training.phantom.organs import Site, adrenal, gallbladder, kidney, pancreas
from training.phantom.torso import Torso, random_habitus

EXCHANGED = (
    "spleen",
    "kidney_left",
    "kidney_right",
    "stomach",
    "duodenum",
    "pancreas",
    "gallbladder",
    "adrenal_gland_left",
    "adrenal_gland_right",
)
"""Structures that may come from elsewhere. The liver and the vessels stay: all others lie against them."""

_DRAWN: Mapping[str, Callable[[Site], Field]] = {
    "pancreas": pancreas,
    "gallbladder": gallbladder,
    "kidney_left": lambda site: kidney(site, 1)[0],
    "kidney_right": lambda site: kidney(site, -1)[0],
    "adrenal_gland_left": lambda site: adrenal(site, 1),
    "adrenal_gland_right": lambda site: adrenal(site, -1),
}
_YIELDING = ("small_bowel", "colon", *(name for name in ADDED if name not in (VEIN, ARTERY)))
"""The mesenteric vessels run through the pancreas, whichever it is."""
_SHARE = 0.45
_LEAST_KEPT = 0.75
_JITTER_MM = 4.0


@dataclass(frozen=True)
class Organ:
    """An organ on the frame of a scan: where it is, and how deep each voxel lies in it, mm; (z, y, x)."""

    mask: npt.NDArray[np.bool_]
    depth_mm: FloatArray


def exchange_organs(
    deformed: Deformed,
    body: Body,
    frame: Frame,
    rng: np.random.Generator,
    donor: tuple[Deformed, Body] | None = None,
) -> list[str]:
    """Exchange each organ with some chance, in place; returns the names of those exchanged.

    The new organ is put where the old one was, moved by some millimetres. Bowel, fat and what was added to
    the map give way to it; where another structure would cover more than a quarter of it, the old one stays.

    Args:
        deformed: the patient; `structures` and `depth_mm` are changed.
        body: the patient's body, for the ids.
        frame: the scan's grid, on which organs are drawn.
        rng: source of all randomness.
        donor: another body on the same frame; without one, organs are drawn.
    """
    exchanged = []
    for name in EXCHANGED:
        lot, from_donor = rng.random(2)
        shift_mm = rng.normal(0, _JITTER_MM, 3)
        if lot >= _SHARE or name not in body.ids:
            continue
        organ = None
        if donor is not None and (from_donor < 0.5 or name not in _DRAWN):
            organ = _organ_of(*donor, name)
        elif name in _DRAWN:
            organ = _drawn(frame, name, rng)
        if organ is not None and _put(deformed, body, name, organ, shift_mm / frame.step_mm):
            exchanged.append(name)
    return exchanged


def _organ_of(deformed: Deformed, body: Body, name: str) -> Organ | None:
    """An organ of another body, or None where it has none in view."""
    if name not in body.ids:
        return None
    return Organ(deformed.structures == body.ids[name], deformed.depth_mm)


def _drawn(frame: Frame, name: str, rng: np.random.Generator) -> Organ:
    """A procedural organ, which needs no trunk around it."""
    nothing = np.zeros(frame.shape, dtype=np.float32)
    field = _DRAWN[name](Site(frame, Torso(random_habitus(rng), *[nothing] * 5), rng))
    depth = nothing.copy()
    depth[field.region.slices] = np.maximum(-field.distance, 0)
    return Organ(depth > 0, depth)


def _put(
    deformed: Deformed, body: Body, name: str, organ: Organ, jitter_voxels: npt.NDArray[np.float64]
) -> bool:
    """Whether an organ could take the place of the patient's own."""
    structures, own = deformed.structures, body.ids[name]
    place, given = np.argwhere(structures == own), np.argwhere(organ.mask)
    if not len(place) or not len(given):
        return False
    shift = np.rint(place.mean(0) - given.mean(0) + jitter_voxels).astype(int)
    last = structures.shape[0] - 1
    if min(place[:, 0].min(), given[:, 0].min()) == 0 or max(place[:, 0].max(), given[:, 0].max()) == last:
        # The scan cuts it: what ends at the first or last slice must go on doing so.
        shift[0] = 0
    target = given + shift
    inside = ((target >= 0) & (target < structures.shape)).all(1)
    source, at = tuple(given[inside].T), tuple(target[inside].T)
    free = np.isin(structures[at], [0, own, *body.of(*_YIELDING)])
    if free.sum() < _LEAST_KEPT * len(given):
        return False
    structures[structures == own] = 0
    source, at = tuple(i[free] for i in source), tuple(i[free] for i in at)
    structures[at] = own
    deformed.depth_mm[at] = organ.depth_mm[source]
    return True
