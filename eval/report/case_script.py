"""The volume of a case as a script for the browser: cropped, reduced, with 8 bits per voxel.

A page that was opened as a file may not read other files, but it may load scripts. So each case is a script
that calls `LeanSeg.receive` with the voxels, compressed by gzip and encoded in base64; it is loaded when the
case is opened. Arrays are (z, y, x) in canonical LPS order; the grid of an oblique image is shown upright.
"""

import base64
import gzip
import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.image_files import read_image, stored_size
from eval.label_sets import check_labels
from eval.pictures.lettering import WINDOW_LEVEL_HU, WINDOW_WIDTH_HU
from eval.pictures.planes import AIR_HU, Plane, body_region, canonical, most_informative
from eval.scoring.lesion_tables import LesionRow
from eval.scoring.metrics import Box, label_boxes
from eval.volumes import (
    TIMES_AS_FINE,
    grid_difference,
    is_too_fine,
    onto_grid,
    read_labels,
    size_difference,
)
from model.arrays import U8, Mask, Voxels, ZyxMm
from model.labels import LabelSet

MARGIN_MM = 12.0
"""Margin above and below the labels that is shown, where not all slices are."""
MOST_VOXELS = 10_000_000
"""More of them, reduced (about 7 MB on disk), are cropped to the labels even where the whole is asked for."""
LEAST_SLICES = 32
"""The slices of a scan are not averaged to fewer than this."""
BODY_SHARE = 0.3
"""A pixel belongs to the body if it does so on this share of the slices."""
CONVERT = "convert the file, or name its label set with --labels"


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The files of one case; without a CT the labels are shown on black."""

    name: str
    """Name of the case."""
    image: Path | None
    """The CT."""
    prediction: Path | None
    """Predicted label map."""
    truth: Path | None
    """True label map."""
    lesions: tuple[LesionRow, ...] = ()
    """Lesions to mark."""


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Which slices of a scan an embedded volume shows along one axis."""

    first: int
    """The first of them, counted from 0."""
    shown: int
    """How many, before they are reduced."""
    step: int
    """So many are averaged to one; labels are those of the middle one."""
    of: int
    """How many the scan has."""


@dataclass(frozen=True, kw_only=True)
class CaseVolume:
    """The volume of a case that is embedded; all arrays have one shape (z, y, x)."""

    ct: U8
    """The CT in the soft-tissue window, from 0 at its lower to 255 at its upper end."""
    prediction: U8 | None
    """Predicted labels."""
    truth: U8 | None
    """True labels."""
    spacing_zyx_mm: ZyxMm
    """Voxel size."""
    slices: tuple[Slices, Slices, Slices]
    """Which slices of the scan they show, along z, y and x."""
    markers: tuple[tuple[LesionRow, tuple[float, ...]], ...] = ()
    """Lesions, each with the voxel (x, y, z) of its centre, which may be a fraction."""

    @property
    def start_zyx(self) -> tuple[int, ...]:
        """Planes to show first: those with the most errors, or with the most structures if there are none."""
        first = self.truth if self.prediction is None else self.prediction
        if first is None:
            return tuple(size // 2 for size in self.ct.shape)
        guide = first
        if self.prediction is not None and self.truth is not None:
            wrong = np.where(
                self.prediction != self.truth, np.maximum(self.prediction, self.truth), 0
            ).astype(np.uint8)
            guide = wrong if wrong.any() else first
        return tuple(most_informative(guide, plane) for plane in Plane)


def read_case(files: CaseFiles, label_set: LabelSet, detail_mm: float, *, whole: bool = False) -> CaseVolume:
    """Read a case and reduce it: cropped to body and labels, voxels averaged up to about `detail_mm`.

    Args:
        files: of the case.
        label_set: labels that its label maps may hold.
        detail_mm: size of the voxels that are embedded; smaller ones are averaged.
        whole: keep slices far from any label too, unless these are more than `MOST_VOXELS`.

    Raises:
        JudgingError: a file cannot be read, holds labels outside the set, or does not cover the same space as
            the others.
    """
    # A prediction's grid is the last to be trusted: its header may state any number of voxels.
    paths = [path for path in (files.image, files.truth, files.prediction) if path is not None]
    if not paths:
        raise JudgingError(f"{files.name}: has neither an image nor label maps to show")
    grid = read_image(paths[0])
    ct = canonical(grid)
    prediction, truth = (_labels_on(path, grid, label_set) for path in (files.prediction, files.truth))
    hu: Voxels = sitk.GetArrayFromImage(ct)
    if files.image is None:
        hu = np.full(hu.shape, AIR_HU, np.float32)
    x_mm, y_mm, z_mm = ct.GetSpacing()
    shown = np.zeros(hu.shape, np.bool_)
    for labels in (prediction, truth):
        if labels is not None:
            shown |= labels > 0
    spacing_zyx_mm = (z_mm, y_mm, x_mm)
    down, across_y, across_x = (max(1, int(detail_mm / size + 0.01)) for size in spacing_zyx_mm)
    factors = (min(down, max(1, hu.shape[0] // LEAST_SLICES)), across_y, across_x)
    box = _box(hu, shown, range(hu.shape[0])) if whole else None
    if box is None or _reduced_voxels(box, factors) > MOST_VOXELS:
        box = _box(hu, shown, _near_labels(shown, z_mm))
    return CaseVolume(
        ct=_windowed(_averaged(hu[box], factors)),
        prediction=None if prediction is None else _thinned(prediction[box], factors),
        truth=None if truth is None else _thinned(truth[box], factors),
        spacing_zyx_mm=(z_mm * factors[0], y_mm * factors[1], x_mm * factors[2]),
        slices=_slices(box, factors, hu.shape),
        markers=tuple((lesion, _voxel(lesion.place_mm, ct, box, factors)) for lesion in files.lesions),
    )


def _voxel(
    place_mm: tuple[float, float, float], ct: sitk.Image, box: Box, factors: tuple[int, ...]
) -> tuple[float, ...]:
    """Where a place in the world lies in the reduced volume: x, y, z.

    Whole numbers are the centres of voxels.
    """
    index = ct.TransformPhysicalPointToContinuousIndex(place_mm)
    return tuple(
        round((at - part.start + 0.5) / factor - 0.5, 2)
        for at, part, factor in zip(index, reversed(box), reversed(factors), strict=True)
    )


def script_of(key: str, volume: CaseVolume) -> str:
    """The script of a case."""
    fields = {
        "key": key,
        "size": volume.ct.shape[::-1],
        "spacing_mm": [round(size, 4) for size in reversed(volume.spacing_zyx_mm)],
        "start": volume.start_zyx[::-1],
        "slices": [asdict(along) for along in reversed(volume.slices)],
        "ct": _packed(volume.ct),
        "prediction": None if volume.prediction is None else _packed(volume.prediction),
        "truth": None if volume.truth is None else _packed(volume.truth),
        "lesions": [
            {
                "kind": lesion.kind,
                "structure": lesion.structure,
                "ml": round(lesion.volume_ml, 2),
                "iou": round(lesion.iou, 3),
                "at": at,
            }
            for lesion, at in volume.markers
        ],
    }
    return f"LeanSeg.receive({json.dumps(fields)});\n"


def _labels_on(path: Path | None, grid: sitk.Image, label_set: LabelSet) -> U8 | None:
    if path is None:
        return None
    size_xyz = stored_size(path)
    if is_too_fine(size_xyz, grid.GetSize()):
        raise JudgingError(
            f"{path}: {size_difference(size_xyz, grid.GetSize())}; shown are up to {TIMES_AS_FINE} times as "
            "many as the image or the truth has"
        )
    volume = read_labels(path)
    if grid_difference(volume.grid, grid):
        volume = onto_grid(volume, grid)
    check_labels(path, label_boxes(volume.labels), label_set, CONVERT)
    image = sitk.GetImageFromArray(volume.labels)
    image.CopyInformation(grid)
    return np.asarray(sitk.GetArrayFromImage(canonical(image)), np.uint8)


def _near_labels(shown: Mask, z_mm: float) -> range:
    """Slices with labels and the margin around them; all without labels."""
    slices = np.flatnonzero(shown.any(axis=(1, 2)))
    if not slices.size:
        return range(shown.shape[0])
    margin = round(MARGIN_MM / z_mm)
    return range(max(0, int(slices[0]) - margin), min(int(slices[-1]) + 1 + margin, shown.shape[0]))


def _box(hu: Voxels, shown: Mask, slices: range) -> Box:
    """Body and labels in some slices."""
    body = (hu[slices.start : slices.stop] > AIR_HU).mean(axis=0) > BODY_SHARE
    region = body_region(np.where(body, 0.0, 2 * AIR_HU), np.asarray(shown.any(axis=0)))
    return (slice(slices.start, slices.stop), region.rows, region.columns)


def _reduced_voxels(box: Box, factors: tuple[int, ...]) -> int:
    return prod(-(-(part.stop - part.start) // factor) for part, factor in zip(box, factors, strict=True))


def _slices(box: Box, factors: tuple[int, ...], shape_zyx: tuple[int, ...]) -> tuple[Slices, Slices, Slices]:
    z, y, x = (
        Slices(first=part.start, shown=part.stop - part.start, step=factor, of=size)
        for part, factor, size in zip(box, factors, shape_zyx, strict=True)
    )
    return z, y, x


def _averaged(voxels: Voxels, factors: tuple[int, ...]) -> Voxels:
    """Means over blocks of voxels; incomplete blocks at the far ends are filled up with their last voxel."""
    padded = np.pad(
        voxels, [(0, -size % factor) for size, factor in zip(voxels.shape, factors, strict=True)], mode="edge"
    )
    z, y, x = (size // factor for size, factor in zip(padded.shape, factors, strict=True))
    blocks: Voxels = padded.reshape(z, factors[0], y, factors[1], x, factors[2]).mean(
        axis=(1, 3, 5), dtype=np.float32
    )
    return blocks


def _thinned(labels: U8, factors: tuple[int, ...]) -> U8:
    """The label at the middle of each block; the result has the shape that `_averaged` gives."""
    places = [
        np.minimum(np.arange(-(-size // factor)) * factor + factor // 2, size - 1)
        for size, factor in zip(labels.shape, factors, strict=True)
    ]
    return np.ascontiguousarray(labels[np.ix_(*places)])


def _windowed(hu: Voxels) -> U8:
    low = WINDOW_LEVEL_HU - WINDOW_WIDTH_HU / 2
    return np.rint(np.clip((hu - low) / WINDOW_WIDTH_HU, 0.0, 1.0) * 255).astype(np.uint8)


def _packed(voxels: U8) -> str:
    return base64.b64encode(gzip.compress(voxels.tobytes(), compresslevel=6, mtime=0)).decode()
