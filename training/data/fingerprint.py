"""The fingerprint of a data set: sizes, spacings, intensities and volumes, from which recipes take figures.

Intensities are those of foreground voxels (any structure), each case with the same weight however large its
structures are, as nnU-Net weighs them. Integer images are counted whole; of others up to `MOST_VALUES` voxels
of a case are drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.imaging.volume import Volume
from model.arrays import F64, Counts, Zyx, ZyxMm, counts_of_ids
from model.labels import LabelSet
from model.schema import SchemaError, parse
from training.data.found_cases import CaseFiles
from training.data.on_grid import as_ids, read_canonical, refuse_foreign, refuse_other_grid
from training.data.quick_hash import data_sha256
from training.random_streams import generator_of_name
from training.training_errors import DataError
from training.whole_files import read_json, write_json

FINGERPRINT = "fingerprint.json"
FORMAT = "leanseg-fingerprint-1"
MOST_VALUES = 100_000
BINS = 100
ANISOTROPY = 3.0
"""nnU-Net's `ANISO_THRESHOLD`: an axis this many times coarser than the others is treated apart."""


@dataclass(frozen=True, kw_only=True)
class CaseFigures:
    """One case, in canonical orientation."""

    name: str
    size_zyx: Zyx
    spacing_zyx_mm: ZyxMm
    volumes_ml: Mapping[str, float]
    """Volume of each structure that occurs."""


@dataclass(frozen=True, kw_only=True)
class ChannelFigures:
    """Foreground intensities of one channel, over all cases."""

    percentile_00_5: float
    percentile_99_5: float
    mean: float
    std: float
    median: float
    min: float
    max: float
    histogram: tuple[float, ...]
    """Share of voxels in each of 100 equal bins from the lower to the higher percentile."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cases in which the same structures occur."""

    structures: tuple[str, ...]
    cases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The whole of `fingerprint.json`."""

    format: str = FORMAT
    label_set: str
    """Name of the label set that tells structures."""
    cases: tuple[CaseFigures, ...]
    channels: tuple[ChannelFigures, ...]
    spacing_zyx_mm: ZyxMm
    """Voxel size proposed for a network's grid."""
    spacing_reason: str
    """How it was found, a sentence."""
    groups: tuple[Group, ...]
    """The largest first."""
    files_sha256: str | None = None
    """`data_sha256` of the cases: tells them from others under the same names. None in older files."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Foreground intensities of one channel of one case: values, rising, and the share of voxels of each."""

    values: F64
    shares: F64


def take_fingerprint(
    cases: Sequence[CaseFiles],
    labels: LabelSet,
    *,
    workers: int = 1,
    seen: Callable[[str], object] = lambda name: None,
) -> Fingerprint:
    """Read every case and sum it up.

    Args:
        cases: at least one.
        labels: tells structures.
        workers: threads that read.
        seen: called with the name of each case when it was read.

    Raises:
        DataError: a file cannot be read or does not fit its case, or no case holds any structure.
    """
    files_sha256 = data_sha256(cases)  # Before they are read: what changes meanwhile is then noticed.
    figures: list[CaseFigures] = []
    tallies: list[tuple[Tally, ...]] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="fingerprint") as pool:
        for case, held in pool.map(lambda files: case_figures(files, labels), cases):
            figures.append(case)
            seen(case.name)
            if held:
                tallies.append(held)
    if not tallies:
        raise DataError(f"{cases[0].labels.parent}: no case holds any structure of {labels.name}")
    counts = {len(held) for held in tallies}
    if len(counts) > 1:
        raise DataError(f"{cases[0].images[0].parent}: cases have {sorted(counts)} channels, must be alike")
    spacing, reason = proposed_spacing(
        [case.spacing_zyx_mm for case in figures], [case.size_zyx for case in figures]
    )
    return Fingerprint(
        label_set=labels.name,
        cases=tuple(figures),
        channels=tuple(channel_figures(channel) for channel in zip(*tallies, strict=True)),
        spacing_zyx_mm=spacing,
        spacing_reason=reason,
        groups=groups_of(figures, labels),
        files_sha256=files_sha256,
    )


def case_figures(files: CaseFiles, labels: LabelSet) -> tuple[CaseFigures, tuple[Tally, ...]]:
    """Figures of one case, and of each channel's foreground; no channels where nothing is labelled.

    Raises:
        DataError: a file cannot be read or does not fit the case.
    """
    truth = read_canonical(files.labels)
    ids = as_ids(truth.array, files.labels)
    counts = counts_of_ids(ids)
    refuse_foreign(counts, labels, files.labels)
    foreground = ids > 0
    tallies = []
    for path in files.images:
        image = read_canonical(path)
        refuse_other_grid(image.geometry, truth.geometry, files.labels, "its image")
        if foreground.any():
            tallies.append(_tally(image, foreground, files.name))
    figures = CaseFigures(
        name=files.name,
        size_zyx=truth.geometry.size_zyx,
        spacing_zyx_mm=truth.geometry.spacing_zyx_mm,
        volumes_ml=_volumes(counts, labels, truth.geometry.voxel_ml),
    )
    return figures, tuple(tallies)


def _volumes(counts: Counts, labels: LabelSet, voxel_ml: float) -> dict[str, float]:
    held = {name: int(counts[labels.ids[name]]) for name in labels.names}
    return {name: round(count * voxel_ml, 6) for name, count in held.items() if count}


def _tally(image: Volume, foreground: NDArray[np.bool_], name: str) -> Tally:
    values = image.array[foreground]
    if values.dtype != np.int16:
        values = values[np.isfinite(values)]
        if values.size > MOST_VALUES:
            rng = generator_of_name(name)
            values = values[rng.integers(values.size, size=MOST_VALUES)]
    found, counts = np.unique(values, return_counts=True)
    return Tally(values=found.astype(np.float64), shares=counts / max(1, counts.sum()))


def channel_figures(tallies: Sequence[Tally]) -> ChannelFigures:
    """Figures of a channel over cases of equal weight.

    A percentile is the lowest value that at least so many of all voxels do not exceed.
    """
    values = np.concatenate([tally.values for tally in tallies])
    shares = np.concatenate([tally.shares for tally in tallies])
    order = np.argsort(values, kind="stable")
    values, shares = values[order], shares[order] / shares.sum()
    up_to = np.cumsum(shares)
    # Sums of shares are off by rounding, which must not push a percentile to the next value.
    low, median, high = (
        float(values[min(int(np.searchsorted(up_to, share - 1e-9)), values.size - 1)])
        for share in (0.005, 0.5, 0.995)
    )
    mean = float(values @ shares)
    binned, _ = np.histogram(values, bins=BINS, range=(low, max(high, low + 1e-6)), weights=shares)
    return ChannelFigures(
        percentile_00_5=low,
        percentile_99_5=high,
        mean=mean,
        std=float(np.sqrt(shares @ (values - mean) ** 2)),
        median=median,
        min=float(values[0]),
        max=float(values[-1]),
        histogram=tuple(round(float(share), 6) for share in binned),
    )


def proposed_spacing(spacings: Sequence[ZyxMm], sizes: Sequence[Zyx]) -> tuple[ZyxMm, str]:
    """Voxel size for a network's grid, and why, by nnU-Net's rule (`determine_fullres_target_spacing`).

    It is the median along each axis. Where one axis is more than three times coarser than both others and has
    less than a third of their voxels, that axis takes the 10th percentile instead, so that the finer images
    keep their slices; but it stays coarser than the others.
    """
    median = np.percentile(np.array(spacings, np.float64), 50, axis=0)
    size = np.percentile(np.array(sizes, np.float64), 50, axis=0)
    coarse = int(np.argmax(median))
    others = [axis for axis in range(3) if axis != coarse]
    finest = float(max(median[others]))
    apart = median[coarse] > ANISOTROPY * finest and size[coarse] * ANISOTROPY < min(size[others])
    reason = "the median of all cases along each axis"
    if apart:
        tenth = float(np.percentile(np.array(spacings, np.float64)[:, coarse], 10))
        median[coarse] = tenth if tenth >= finest else finest + 1e-5
        reason = (
            f"the median of all cases, but along {'zyx'[coarse]}, which is more than {ANISOTROPY:g} times "
            "coarser, the 10th percentile"
        )
    z, y, x = (round(float(mm), 5) for mm in median)
    return (z, y, x), reason


def groups_of(cases: Sequence[CaseFigures], labels: LabelSet) -> tuple[Group, ...]:
    """Cases by the structures that occur in them, the largest group first."""
    found: dict[tuple[str, ...], list[str]] = {}
    for case in cases:
        held = tuple(name for name in labels.names if name in case.volumes_ml)
        found.setdefault(held, []).append(case.name)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return tuple(Group(structures=held, cases=tuple(names)) for held, names in ordered)


def read_fingerprint(path: Path) -> Fingerprint:
    """The fingerprint that a file holds.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        document = read_json(path)
        fingerprint = parse(Fingerprint, document)
    except (OSError, ValueError, SchemaError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: is no fingerprint ({said}); run `python -m training fingerprint`"
        ) from error
    if fingerprint.format != FORMAT:
        raise DataError(f"{path}: is of another version; run `python -m training fingerprint` again")
    return fingerprint


def write_fingerprint(path: Path, fingerprint: Fingerprint) -> None:
    """Write a fingerprint; a file that is already there is replaced only when the new one is complete."""
    write_json(path, fingerprint)
