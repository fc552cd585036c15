"""What a label map holds, organ by organ, as figures: volume, extent, pieces, whether the scan cuts it off.

Arrays are (z, y, x) in canonical orientation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from inference.geometry import Geometry
from inference.postprocessing.label_statistics import find_labels, found
from inference.postprocessing.runs import Runs, ScatteredError, find_runs, number_parts, voxels_of
from model.arrays import U8, Voxels, ZyxMm
from model.labels import LabelSet

COARSE_MM = 4.0
"""Pieces are counted, and values looked at, on every n-th voxel of the map, about so far apart."""
LARGE_PIECE_ML = 10.0
LARGE_PIECE_SHARE = 0.25
"""Pieces of at least so much, and of at least this share of the largest one, are counted."""


@dataclass(frozen=True, kw_only=True)
class OrganFigures:
    """One structure of a label map."""

    name: str
    label: int
    volume_ml: float
    extent_zyx_mm: ZyxMm
    """Sides of the smallest box that holds it, along the image's axes."""
    centre_zyx_mm: ZyxMm
    """Mean position: world axes towards superior, posterior and left."""
    touches_edge: bool
    """Whether it reaches the first or last slice, row or column of the scan: some of it may lie outside."""
    touches_end: bool
    """Whether it reaches the first or last slice."""
    crumb: bool = False
    """Too little of it to count as found, see `result_doubts.is_crumb`; a trace where it touches the edge."""
    pieces: int = 1
    """Large connected pieces before clean-up: at least 10 mL, and a quarter of the largest; never 0."""
    coarse_mean: float | None = None
    """Mean value of its voxels in the first channel, of those about 4 mm apart; None without any."""
    agreement: float | None = None
    """Mean Dice between the members of an ensemble, each by itself; None where there is one member, or too
    little to compare."""
    values: "ValueFigures | None" = None
    """Exact figures of its voxels, where they were asked for."""


@dataclass(frozen=True, kw_only=True)
class ValueFigures:
    """Values of an image within a structure, in the image's units: HU for CT."""

    mean: float
    sd: float


def measure_organs(runs: Runs, geometry: Geometry, label_set: LabelSet) -> tuple[OrganFigures, ...]:
    """Every structure of a label map that is there, in the order of the ids.

    Args:
        runs: of its ids, which are those of `label_set`.
        geometry: their grid.
        label_set: names and ids.
    """
    figures = []
    for label, held in find_labels(runs).items():
        start, stop = held.box.start_zyx, held.box.stop_zyx
        at_edge = [a == 0 or b == end for a, b, end in zip(start, stop, geometry.size_zyx, strict=True)]
        dz, dy, dx = (s * n for s, n in zip(geometry.spacing_zyx_mm, held.box.size_zyx, strict=True))
        x, y, z = (float(value) for value in geometry.to_world(held.centre_zyx))
        figures.append(
            OrganFigures(
                name=label_set.name_of(label),
                label=label,
                volume_ml=held.voxels * geometry.voxel_ml,
                extent_zyx_mm=(dz, dy, dx),
                centre_zyx_mm=(z, y, x),
                touches_edge=any(at_edge),
                touches_end=at_edge[0],
            )
        )
    return tuple(figures)


def count_pieces(labels: U8, geometry: Geometry) -> dict[int, int]:
    """How many large connected pieces each label of a map that was not cleaned up has, on a coarse grid.

    Thin structures fall apart on it: it is for organs of more than twice `LARGE_PIECE_ML`.
    """
    coarse = np.ascontiguousarray(labels[_coarse(geometry)])
    point_ml = geometry.voxel_ml * labels.size / max(1, coarse.size)
    try:
        runs = find_runs(coarse, 1)
    except ScatteredError:
        return {}
    pieces = {}
    for label in np.unique(runs.label):
        _, sizes = number_parts(runs.of([int(label)]), touching=26)
        least = max(LARGE_PIECE_ML / point_ml, LARGE_PIECE_SHARE * float(sizes.max()))
        pieces[int(label)] = max(1, int((sizes >= least).sum()))
    return pieces


def coarse_means(labels: U8, image: Voxels, geometry: Geometry) -> dict[int, float]:
    """Mean value of the image within each label, from voxels about `COARSE_MM` apart."""
    part = _coarse(geometry)
    counts, sums = np.zeros(256), np.zeros(256)
    for ids, values in zip(labels[part], image[part], strict=True):
        held = (ids > 0) & np.isfinite(values)
        counts += np.bincount(ids[held], minlength=256)
        sums += np.bincount(ids[held], weights=values[held], minlength=256)
    return {int(label): float(sums[label] / counts[label]) for label in np.flatnonzero(counts)}


def _coarse(geometry: Geometry) -> tuple[slice, ...]:
    """Voxels about `COARSE_MM` apart, at least one along each axis."""
    steps = [max(1, round(COARSE_MM / spacing)) for spacing in geometry.spacing_zyx_mm]
    return tuple(
        slice(min((step - 1) // 2, size - 1), None, step)
        for step, size in zip(steps, geometry.size_zyx, strict=True)
    )


def value_figures(runs: Runs, image: Voxels) -> dict[int, ValueFigures]:
    """Mean and standard deviation of an image (z, y, x) within each label.

    Voxels are visited some at a time; those that are not finite are left out.

    Args:
        runs: of a label map.
        image: of the same shape.
    """
    return {int(label): _values_in(runs.of([int(label)]), image) for label in np.unique(runs.label)}


def _values_in(runs: Runs, image: Voxels) -> ValueFigures:
    z, y, x = (int(index) for index in np.array(found(runs).centre_zyx).round())
    middle = float(image[z, y, x])
    shift = middle if np.isfinite(middle) else 0.0  # Keeps the sum of squares small.
    count, total, squares = 0, 0.0, 0.0
    for index, _ in voxels_of(runs):
        values = image[index].astype(np.float64) - shift
        values = values[np.isfinite(values)]
        count, total, squares = (
            count + values.size,
            total + float(values.sum()),
            squares + float(values @ values),
        )
    if not count:
        return ValueFigures(mean=float("nan"), sd=float("nan"))
    mean = total / count
    return ValueFigures(mean=mean + shift, sd=float(np.sqrt(max(0.0, squares / count - mean**2))))


def with_more(
    figures: tuple[OrganFigures, ...],
    *,
    pieces: Mapping[int, int],
    means: Mapping[int, float],
    agreement: Mapping[int, float],
    values: Mapping[int, ValueFigures],
) -> tuple[OrganFigures, ...]:
    """The figures with what was found elsewhere, each by label."""
    return tuple(
        replace(
            each,
            pieces=pieces.get(each.label, 1),
            coarse_mean=means.get(each.label),
            agreement=agreement.get(each.label),
            values=values.get(each.label),
        )
        for each in figures
    )
