"""Everything that is amiss with a data set, told at once, before anything trains."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.errors import InputError
from inference.geometry import Geometry
from inference.imaging.orientation import orient, orientation_of
from inference.imaging.reading import open_image
from inference.imaging.volume import Volume
from model.arrays import Counts, counts_of_ids
from model.labels import LABEL_SETS, LabelSet
from training.data.annotations import ANNOTATED, GIVEN, unknown_structures
from training.data.folders import find_cases, labelled_cases
from training.data.found_cases import CaseFiles, refuse
from training.data.label_agreement import (
    doubts_of_lesions,
    faults_of_names,
    label_set_beside,
    place_of_labels,
)
from training.data.on_grid import as_ids, read_canonical, refuse_foreign, refuse_other_grid
from training.data.prepared import case_path, changed_source, read_record
from training.data_place import folder_of
from training.recipes.recipe import Channels
from training.training_errors import DataError, RecipeError


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What cases are held against."""

    labels: LabelSet | None = None
    """Structures that label maps may hold and cases may annotate; None: not looked at."""
    channels: int | None = None
    """Channels of each case; None: as many as the others have."""
    taker: str = "the recipe"
    """Who wants so many."""
    outputs: Channels = "plain"
    """What the channels of the recipe's network stand for."""


@dataclass(frozen=True, kw_only=True)
class CaseReport:
    """What was found of one case."""

    name: str
    faults: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    """What is odd about its files or its label set, which is no fault; a line each, with the file's name."""
    digest: str | None = None
    """The same for images with the same voxels; None where they were not read."""
    held: frozenset[int] | None = None
    """Ids of the structures that its label map holds; None where it was not read, or the case says itself
    what it annotates."""


def check_folder(
    folder: Path, expected: Expected, *, quick: bool = False, workers: int = 1
) -> Iterator[CaseReport]:
    """Reports of a data set: one on its files, without a name, then one for each case, as they get ready.

    Args:
        folder: the data set.
        expected: what its cases are held against.
        quick: look at names and headers only.
        workers: threads that read.

    Raises:
        DataError: there is no data set, or it holds no case.
    """
    found = find_cases(folder)
    faults = [*found.faults, *faults_of_names(folder, expected.labels, expected.outputs)]
    faults += faults_of_channels(folder, found.cases, expected)
    warnings: list[str] = []
    if expected.labels is not None:
        faults += faults_of_annotations(folder, found.cases, expected.labels)
        with suppress(RecipeError):  # Of a faulty label set beside the data, which is among the faults.
            warnings = doubts_of_lesions(expected.labels, place_of_labels(folder, expected.labels))
    yield CaseReport(name="", faults=tuple(faults), warnings=tuple(warnings))
    seen: dict[str, Path] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        reports = pool.map(
            lambda case: quick_report(case) if quick else full_report(case, expected), found.cases
        )
        for case, report in zip(found.cases, reports, strict=True):
            first = seen.setdefault(report.digest, case.images[0]) if report.digest else None
            if first is None or first == case.images[0]:
                yield report
                continue
            twice = f"{case.images[0]}: the same voxels as {first}; leave one of them out"
            yield replace(report, faults=(*report.faults, twice))


def checked_cases(folder: Path, expected: Expected) -> tuple[CaseFiles, ...]:
    """Cases of a data set that passed the quick part of the check, in the order of their names.

    Raises:
        DataError: there is no data set, or there are faults, of which the first ones are named.
    """
    cases = labelled_cases(folder) if expected.labels is None else annotated_cases(folder, expected.labels)
    refuse(faults_of_channels(folder, cases, expected), folder, None)
    refuse([fault for case in cases for fault in quick_report(case).faults], folder)
    return cases


def annotated_cases(folder: Path, labels: LabelSet) -> tuple[CaseFiles, ...]:
    """Cases of a data set in the order of their names; what they annotate is in a label set.

    Raises:
        DataError: there is no data set, cases are not complete, or annotate what the label set lacks.
    """
    cases = labelled_cases(folder)
    refuse(faults_of_annotations(folder, cases, labels), folder, _option(folder, labels))
    return cases


def _option(folder: Path, labels: LabelSet) -> str | None:
    """What makes `check` hold a data set against a label set; None where nothing does."""
    if LABEL_SETS.get(labels.name) == labels:
        return f"--label-set {labels.name}"
    return "" if label_set_beside(folder) == labels else None


def faults_of_channels(folder: Path, cases: Sequence[CaseFiles], expected: Expected) -> list[str]:
    """What is amiss with how many channels cases have: one line where all are alike, else one for each."""
    wanted, taker = expected.channels, expected.taker
    counted = {case.name: len(case.images) for case in cases if case.prepared is None}
    counts = set(counted.values())
    if wanted is None or counts <= {wanted}:
        return []
    if len(counts) > 1:
        return [
            f"{case.images[0]}: case {case.name} has {len(case.images)} channel(s), {taker} takes {wanted}"
            for case in cases
            if case.prepared is None and len(case.images) != wanted
        ]
    (count,) = counts
    remedy = "state all in its `inputs`" if count > wanted else "bring the others, or choose another one"
    if taker != Expected.taker:
        remedy = "choose another one"
    return [f"{folder}: all {len(counted)} case(s) have {count} channel(s), {taker} takes {wanted}; {remedy}"]


def faults_of_annotations(folder: Path, cases: Sequence[CaseFiles], labels: LabelSet) -> list[str]:
    """A line for each structure that `annotated.json` or `given.json` names and a label set lacks.

    Args:
        folder: the data set, or a datalist, beside which these files lie.
        cases: of it.
        labels: the label set.
    """
    base = folder_of(folder)
    return [
        fault
        for case in cases
        for file, structures in ((ANNOTATED, case.annotated), (GIVEN, case.given))
        for fault in unknown_structures(base / file, case.name, structures or (), labels)
    ]


def quick_report(case: CaseFiles) -> CaseReport:
    """What names and headers tell; of a prepared case, whether its files have changed since."""
    if case.prepared is not None:
        return _prepared_report(case, case.prepared)
    faults: list[str] = []
    grids: list[tuple[Path, Geometry]] = []
    for path in (*case.images, case.labels):
        try:
            geometry = open_image(path).geometry
            grids.append((path, orient(geometry, orientation_of(geometry))))
        except InputError as error:
            faults.append(str(error))
    return CaseReport(name=case.name, faults=(*faults, *_other_grids(case, grids)))


def full_report(case: CaseFiles, expected: Expected) -> CaseReport:
    """What headers and voxels tell."""
    if case.prepared is not None:
        return _prepared_report(case, case.prepared)
    faults: list[str] = []
    warnings: list[str] = []
    grids: list[tuple[Path, Geometry]] = []
    digest = hashlib.sha256()
    counts: Counts | None = None
    for path in (*case.images, case.labels):
        try:
            volume = read_canonical(path)
            warnings += [f"{path}: {warning}" for warning in volume.warnings]
            grids.append((path, volume.geometry))
            if path != case.labels:
                faults += _faults_of_values(volume, path)
                for plane in volume.array:  # Of the whole array this would take a copy.
                    digest.update(np.ascontiguousarray(plane).data)
            else:
                counts = counts_of_ids(as_ids(volume.array, path))
        except DataError as error:
            faults.append(str(error))
    faults += _other_grids(case, grids)
    if counts is not None and expected.labels is not None:
        faults += _faults_of_ids(case, counts, expected.labels)
    whole = len(grids) == len(case.images) + 1
    held = None
    if counts is not None and case.annotated is None:
        held = frozenset(np.flatnonzero(counts).tolist()) - {0}
    return CaseReport(
        name=case.name,
        faults=tuple(faults),
        warnings=tuple(warnings),
        digest=digest.hexdigest() if whole else None,
        held=held,
    )


def without_labels(reports: Iterable[CaseReport]) -> list[str]:
    """Names of cases whose label map is all background, and that do not say what they annotate."""
    return [report.name for report in reports if report.held == frozenset()]


def perhaps_partial(reports: Iterable[CaseReport]) -> list[str]:
    """Names of cases that hold a few, but not half of the structures, and do not say what they annotate.

    What such a case shows and does not label is learned as background.
    """
    told = [(report.name, report.held) for report in reports if report.held is not None]
    every = frozenset[int]().union(*(held for _, held in told))
    return [name for name, held in told if 0 < 2 * len(held) < len(every)]


def _prepared_report(case: CaseFiles, store: Path) -> CaseReport:
    record = read_record(store, case.name)
    if record is None:
        fault = f"{case_path(store, case.name, 'json')}: is damaged; delete it and run prepare again"
        return CaseReport(name=case.name, faults=(fault,))
    changed = changed_source(record)
    if changed is None:
        return CaseReport(name=case.name, faults=())
    fault = f"{changed}: has changed since {store} was prepared; run prepare again"
    return CaseReport(name=case.name, faults=(fault,))


def _other_grids(case: CaseFiles, grids: Sequence[tuple[Path, Geometry]]) -> list[str]:
    """A line for each file that lies on another grid than the first image."""
    if not grids or grids[0][0] != case.images[0]:
        return []
    faults = []
    for path, geometry in grids[1:]:
        try:
            refuse_other_grid(grids[0][1], geometry, path, "its case's first image")
        except DataError as error:
            faults.append(str(error))
    return faults


def _faults_of_values(volume: Volume, path: Path) -> list[str]:
    lowest = volume.array.min()
    return [] if lowest != volume.array.max() else [f"{path}: is empty (every voxel is {lowest})"]


def _faults_of_ids(case: CaseFiles, counts: Counts, labels: LabelSet) -> list[str]:
    faults = []
    try:
        refuse_foreign(counts, labels, case.labels)
    except DataError as error:
        faults.append(str(error))
    if case.annotated is None:
        return faults
    held = np.flatnonzero(counts).tolist()
    known = labels.names_by_id
    more = [
        known[label_id] for label_id in held if label_id in known and known[label_id] not in case.annotated
    ]
    if more:
        faults.append(f"{case.labels}: holds {', '.join(more)}, not annotated by {ANNOTATED}")
    return faults
