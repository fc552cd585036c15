"""Cases whose pseudo-labels stay the same from round to round, as a data set of its own."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from training.data.annotations import ANNOTATED, GIVEN, annotated_text
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.data.image_links import link_image, link_images, refuse_series
from training.data.on_grid import as_ids, read_canonical, refuse_other_grid
from training.data.preparing import copy_beside
from training.data.quick_hash import data_sha256
from training.pseudo_labels.stability import change, instability
from training.pseudo_labels.stability_report import PICTURE, TABLE, draw_histogram, write_table
from training.pseudo_labels.whole_folder import RECORD, is_there, whole_folder
from training.training_errors import DataError
from training.whole_files import write_json

Rounds = Sequence[tuple[CaseFiles, ...]]
"""The cases of each round, the first round first; the same cases in each."""

logger = logging.getLogger(__name__)


def read_rounds(folders: Sequence[Path]) -> Rounds:
    """The cases of each round.

    Raises:
        DataError: a folder is no data set, is a prepared store, or holds other cases than the first.
    """
    rounds = [labelled_cases(folder) for folder in folders]
    for folder, cases in zip(folders, rounds, strict=True):
        if any(case.prepared for case in cases):
            raise DataError(f"{folder}: is a prepared store; give the data set that it was made from")
        apart = {case.name for case in rounds[0]} ^ {case.name for case in cases}
        if apart:
            raise DataError(
                f"{folder}: holds other cases than {folders[0]} ({min(apart)} is in one of them); give "
                "rounds of the same cases"
            )
    return rounds


def case_changes(case_rounds: Sequence[CaseFiles]) -> tuple[float, ...]:
    """What changed in a case from round to round, as a share of its foreground.

    Raises:
        DataError: a label map cannot be read, or lies on another grid than that of the round before.
    """
    found = []
    before = read_canonical(case_rounds[0].labels)
    before_ids = as_ids(before.array, case_rounds[0].labels)
    for files in case_rounds[1:]:
        volume = read_canonical(files.labels)
        refuse_other_grid(before.geometry, volume.geometry, files.labels, "the round before")
        ids = as_ids(volume.array, files.labels)
        found.append(change(ids, before_ids))
        before, before_ids = volume, ids
    return tuple(found)


def write_stable(
    output: Path, folders: Sequence[Path], rounds: Rounds, threshold: float, workers: int
) -> None:
    """Write a data set of the cases with u up to a threshold, with the labels of the last round.

    Images and label maps are links. Table and histogram of all cases lie beside them.

    Args:
        output: folder to write.
        folders: of the rounds.
        rounds: their cases.
        threshold: the highest u of a case that is kept.
        workers: threads that read.

    Raises:
        DataError: no case is stable enough, a label map is not usable, or there is something else at
            `output`.
    """
    refuse_series(path for case in rounds[-1] for path in case.images)
    hashes = [data_sha256(cases) for cases in rounds]
    annotations = {case.name: [_listed(case.annotated), _listed(case.given)] for case in rounds[-1]}
    purpose = {"rounds_sha256": hashes, "most_unstable": threshold, "annotated_and_given": annotations}
    if is_there(output, purpose):
        logger.info("%s: is complete already", output)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="stability") as pool:
        measured = pool.map(case_changes, zip(*rounds, strict=True))
        changes = {case.name: found for case, found in zip(rounds[0], measured, strict=True)}
    values = {name: instability(found) for name, found in changes.items()}
    kept = [case for case in rounds[-1] if values[case.name] <= threshold]
    if not kept:
        raise DataError(
            f"{folders[-1]}: none of {len(values)} cases has u of {threshold:g} or less, the least is "
            f"{min(values.values()):.3g}, the median {median(values.values()):.3g}; train for another round, "
            "or give another --most-unstable"
        )
    with whole_folder(output, purpose) as folder:
        write_table(changes, threshold, folder / TABLE)
        draw_histogram(list(values.values()), threshold, folder / PICTURE)
        (folder / "labelsTr").mkdir(exist_ok=True)
        for case in kept:
            link_images(case.name, case.images, folder / "imagesTr")
            link_image(case.labels, folder / "labelsTr", case.name)
        copy_beside(folders[-1], folder)
        for name, structures in (
            (ANNOTATED, {case.name: case.annotated for case in kept if case.annotated is not None}),
            (GIVEN, {case.name: case.given for case in kept if case.given is not None}),
        ):
            (folder / name).write_text(annotated_text(structures), encoding="utf-8")
        write_json(folder / RECORD, {"purpose": purpose})
    logger.info("%d of %d cases are stable: %s", len(kept), len(values), output)


def _listed(structures: Sequence[str] | None) -> list[str] | None:
    return None if structures is None else list(structures)
