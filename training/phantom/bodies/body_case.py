"""One case over a whole-body map: deformed, filled, scanned in slices, labelled with the FLARE organs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.artifacts import Artifacts, paint_artifacts, random_artifacts
from training.phantom.bodies.additions import Additions
from training.phantom.bodies.body import HULL_STRIDE, Body
from training.phantom.bodies.body_filling import Deformed, Painter
from training.phantom.bodies.body_lesions import paint_lesions
from training.phantom.bodies.deforming import deform
from training.phantom.bodies.emptying import empty_stomach
from training.phantom.bodies.exchange import exchange_organs
from training.phantom.bodies.mesenteric import lay_mesenteric_vessels
from training.phantom.bodies.retroperitoneum import lay_retroperitoneum
from training.phantom.bodies.shape import Shape, random_shape
from training.phantom.bodies.slices import SliceGeometry, random_slices, scan
from training.phantom.bodies.structures import organ_id
from training.phantom.canvas import Canvas
from training.phantom.case import PhantomCase
from training.phantom.frame import FloatArray, Frame
from training.phantom.patient import draw_missing
from training.phantom.scanner import finish, paint_arms, paint_table, random_scanner
from training.phantom.tissue import Tissues, random_tissues, with_fatty_pancreas
from training.phantom.torso import Torso, random_habitus

_ARM_TISSUES = ("skin", "fat", "muscle", "cortical bone")
_LESION_SHARE = 0.4
_EXCHANGE_SHARE = 0.6
_EMPTY_STOMACH_SHARE = 0.4
_FATTY_PANCREAS_SHARE = 0.3
STEP_MM = 2.5
"""Spacing at which bodies are drawn; slices are averaged from it."""

# Canonical heights of a scan, mm: lower and upper end, and how often it is drawn.
_COVERAGE = {
    "abdomen": (-140.0, 125.0, 0.34),
    "abdomen and pelvis": (-300.0, 125.0, 0.08),
    "whole": (-500.0, 500.0, 0.02),
    "slab": (0.0, 0.0, 0.30),
    "chest": (110.0, 320.0, 0.06),
    "pelvis and thighs": (-400.0, -130.0, 0.06),
}
COVERAGES = tuple(_COVERAGE)
"""Names of the examinations."""


class _Own(NamedTuple):
    """A generator for each of these steps: how much one draws does not change what the others do."""

    exchange: np.random.Generator
    lesions: np.random.Generator
    artifacts: np.random.Generator
    stomach: np.random.Generator
    vessels: np.random.Generator
    pancreas: np.random.Generator
    behind: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class _Examination:
    """Who is scanned, how and from where to where."""

    coverage: str
    shape: Shape
    tissues: Tissues
    slices: SliceGeometry
    frame: Frame
    missing: list[str]
    """FLARE names of organs that are not there."""


@dataclass(frozen=True, kw_only=True)
class _Patient:
    """What lies within the skin. Arrays are (z, y, x), on the frame."""

    image: FloatArray
    """HU."""
    labels: npt.NDArray[np.uint8]
    """FLARE ids."""
    skin_mm: FloatArray
    """Signed distance to the skin."""
    tissues: Tissues
    exchanged: list[str]
    """Names of organs that are not the body's own."""
    stomach_is_empty: bool
    lesions: list[dict[str, object]]


def body_case(
    rng: np.random.Generator,
    body: Body,
    *,
    donors: Sequence[Body] = (),
    coverage: str | None = None,
    phase: str | None = None,
) -> PhantomCase:
    """Draw one patient with a body's anatomy and scan it.

    Args:
        rng: source of all randomness.
        body: the patient's body.
        donors: bodies of whose organs some may take the place of the patient's own.
        coverage: the examination, one of `COVERAGES`; None draws one.
        phase: contrast phase; None draws one.

    Raises:
        ValueError: unknown coverage or phase.
    """
    asked = _examination(rng, body, coverage, phase)
    own = _Own(*rng.spawn(7))
    patient = _patient(asked, _with_what_maps_lack(body, own), donors, rng, own)
    image, labels = scan(_beside_table(asked, patient, rng), patient.labels, STEP_MM, asked.slices)
    image, labels, is_cut = _field_of_view(image, labels, rng)
    spacing = (asked.slices.spacing_mm, STEP_MM, STEP_MM)
    artifacts = random_artifacts(own.artifacts)
    if artifacts is not None:
        paint_artifacts(image, spacing, artifacts, own.artifacts)
    scanner = random_scanner(rng, asked.slices.thickness_mm)
    return PhantomCase(
        image=finish(image, scanner, spacing, rng),
        labels=labels,
        spacing_xyz_mm=(STEP_MM, STEP_MM, asked.slices.spacing_mm),
        origin_xyz_mm=(0.0, 0.0, 0.0),
        direction=np.eye(3),
        info=_info(asked, body, patient, artifacts, labels) | {"cut_field_of_view": is_cut},
    )


def _examination(
    rng: np.random.Generator, body: Body, coverage: str | None, phase: str | None
) -> _Examination:
    if coverage is not None and coverage not in _COVERAGE:
        raise ValueError(f"unknown coverage {coverage!r}; known: {', '.join(_COVERAGE)}")
    odds = np.array([row[2] for row in _COVERAGE.values()])
    drawn = str(rng.choice(list(_COVERAGE), p=odds / odds.sum()))
    coverage = coverage or drawn
    shape, tissues = random_shape(rng, body), random_tissues(rng, phase)
    slices = random_slices(rng)
    return _Examination(
        coverage=coverage,
        shape=shape,
        tissues=tissues,
        slices=slices,
        frame=_frame(rng, body, shape, coverage, least_mm=slices.length_of(8)),
        missing=draw_missing(rng),
    )


def _info(
    asked: _Examination,
    body: Body,
    patient: _Patient,
    artifacts: Artifacts | None,
    labels: npt.NDArray[np.uint8],
) -> dict[str, object]:
    """What a table of cases shows."""
    return {
        "phase": patient.tissues.phase,
        "coverage": asked.coverage,
        "anatomy": body.name,
        "missing": asked.missing,
        "exchanged": patient.exchanged,
        "empty_stomach": patient.stomach_is_empty,
        "metal": artifacts.metal_count if artifacts else 0,
        "tumors": patient.lesions,
        "absent_ids": sorted(set(range(1, 14)) - set(np.unique(labels).tolist())),
        "width_mm": round(asked.shape.width_mm),
        "fat_mm": round(asked.shape.fat_mm, 1),
        "slice_mm": asked.slices.thickness_mm,
    }


def _with_what_maps_lack(body: Body, own: _Own) -> Body:
    additions = Additions(body)
    lay_retroperitoneum(additions, own.behind)
    lay_mesenteric_vessels(additions, own.vessels)
    return additions.applied()


def _patient(
    asked: _Examination, body: Body, donors: Sequence[Body], rng: np.random.Generator, own: _Own
) -> _Patient:
    """The body on the frame: deformed, some of its organs changed, filled, some with lesions."""
    deformed = deform(asked.frame, body, asked.shape, rng, asked.missing)
    exchanged = _exchange(deformed, body, donors, asked.frame, asked.shape, own.exchange)
    wants_empty = own.stomach.random() < _EMPTY_STOMACH_SHARE
    is_empty = wants_empty and empty_stomach(deformed, body, STEP_MM, own.stomach)
    is_fatty = own.pancreas.random() < _FATTY_PANCREAS_SHARE
    tissues = with_fatty_pancreas(asked.tissues, own.pancreas) if is_fatty else asked.tissues
    painter = Painter(asked.frame, body, deformed, asked.shape, tissues, rng, stomach_is_empty=is_empty)
    image = painter.paint()
    labels = _organs(deformed.structures, body)
    has_lesions = own.lesions.random() < _LESION_SHARE
    lesions = paint_lesions(image, labels, (STEP_MM,) * 3, own.lesions) if has_lesions else []
    return _Patient(
        image=image,
        labels=labels,
        skin_mm=painter.skin_mm,
        tissues=tissues,
        exchanged=exchanged,
        stomach_is_empty=is_empty,
        lesions=lesions,
    )


def _exchange(
    deformed: Deformed,
    body: Body,
    donors: Sequence[Body],
    frame: Frame,
    shape: Shape,
    rng: np.random.Generator,
) -> list[str]:
    """Exchange organs of most patients, of half of those for another body's; returns their names."""
    lot, with_donor = rng.random(2)
    if lot >= _EXCHANGE_SHARE:
        return []
    donor = None
    if donors and with_donor < 0.5:
        other = donors[int(rng.integers(len(donors)))]
        donor = (deform(frame, other, shape, rng, size=other.hull_width_mm / body.hull_width_mm), other)
    return exchange_organs(deformed, body, frame, rng, donor)


def _organs(structures: npt.NDArray[np.uint8], body: Body) -> npt.NDArray[np.uint8]:
    """FLARE ids of structure ids."""
    table = np.zeros(256, dtype=np.uint8)
    for name, index in body.ids.items():
        table[index] = organ_id(name)
    return table[structures]


def _frame(rng: np.random.Generator, body: Body, shape: Shape, coverage: str, *, least_mm: float) -> Frame:
    """The grid over the examined part, wide enough for the body."""
    low, high = _COVERAGE[coverage][:2]
    if coverage == "slab":
        length = float(rng.uniform(16, 120))
        low = float(rng.uniform(-120, 115 - length / 2))
        high = low + length
    low, high = low + float(rng.normal(0, 12)), high + float(rng.normal(0, 12))
    first, last = body.range_mm
    low, high = max(low, first + 5), min(high, last - 5)
    if high - low < least_mm:
        middle = float(np.clip((low + high) / 2, first + 5 + least_mm / 2, last - 5 - least_mm / 2))
        low, high = middle - least_mm / 2, middle + least_mm / 2
    sx, sy, sz = shape.pose.size_xyz
    beyond = shape.fat_mm * 1.6 + shape.wall_mm * 1.5
    half_x = body.hull_width_mm / 2 * sx * 1.08 + beyond
    mid_y = _middle_y_mm(body) * sy
    half_y = body.hull_width_mm / 2 * 0.78 * sy + beyond
    centre = shape.pose.to_scanner(np.array([0.0, 0.0, (low + high) / 2]))
    margin = rng.uniform(4, 40, 4)
    start = np.array([centre[0] - half_x - margin[0], centre[1] + mid_y - half_y - margin[1], 0.0])
    stop = np.array([centre[0] + half_x + margin[2], centre[1] + mid_y + half_y + margin[3] + 10, 0.0])
    start[2], stop[2] = low * sz, high * sz
    size = np.ceil((stop - start) / STEP_MM).astype(int) + 1
    return Frame(
        pose=shape.pose,
        origin_xyz_mm=start,
        step_mm=STEP_MM,
        shape=(int(size[2]), int(size[1]), int(size[0])),
    )


def _middle_y_mm(body: Body) -> float:
    """How far the trunk's middle lies before the spine (negative), at the first lumbar vertebra."""
    rows = np.flatnonzero((body.hull[int(body.origin_zyx[0]) // HULL_STRIDE] < 0).any(1)) * HULL_STRIDE
    return float((rows.mean() - body.origin_zyx[1]) * body.spacing_zyx_mm[1])


def _beside_table(asked: _Examination, patient: _Patient, rng: np.random.Generator) -> FloatArray:
    """The patient with table and arms, as blurred as a scanner sees them."""
    around = _surroundings(
        asked.frame,
        patient.skin_mm,
        tissues_hu={name: patient.tissues[name] for name in _ARM_TISSUES},
        rng=rng,
    )
    image = np.where(patient.skin_mm < 0, patient.image, around.image)
    blurred = ndimage.gaussian_filter(image, (0.3, *[float(rng.uniform(0.3, 0.6))] * 2))
    return np.asarray(blurred, np.float32)


def _surroundings(
    frame: Frame, skin: FloatArray, *, tissues_hu: dict[str, float], rng: np.random.Generator
) -> Canvas:
    """Table and arms, on the frame's own points."""
    canvas = Canvas.over(frame)
    torso = Torso(random_habitus(rng), skin, skin, skin, skin, skin)
    if rng.random() < 0.85:
        paint_table(canvas, torso, rng)
    if rng.random() < 0.2:
        paint_arms(canvas, rng, tissues_hu)
    return canvas


def _field_of_view(
    image: FloatArray, labels: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[FloatArray, npt.NDArray[np.uint8], bool]:
    """In a tenth of cases the field of view cuts through the body."""
    if rng.random() >= 0.1:
        return image, labels, False
    box = []
    for n in image.shape[1:]:
        first, last = rng.uniform(0, 0.3, 2)
        box.append(slice(int(first * n), int((1 - last) * n)))
    return image[:, box[0], box[1]], labels[:, box[0], box[1]], True
