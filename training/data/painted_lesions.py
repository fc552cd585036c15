"""Copies of labelled CTs with synthetic lesions in their organs: tumors to train on, where data have few.

The image may be a scan or drawn: an organ's own value is read off it, noise and fine texture stay. Each copy
is a function of (seed, number of the case in the order of names, number of the copy) alone. A copy without a
lesion would be the case itself, and is not written.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from inference.geometry import Geometry
from inference.imaging.volume import to_canonical
from model.arrays import U8, Voxels, counts_of_ids
from model.label_files import find_label_file, ignored_id
from model.labels import FLARE23, LabelSet
from training.data.annotations import ANNOTATED, GIVEN, annotated_text
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.data.label_agreement import label_set_beside, same_name
from training.data.on_grid import as_ids, read_stored, refuse_other_grid
from training.data_place import DATASET, SPLITS, folder_of
from training.phantom.bodies.body_lesions import SITES, TUMOR, paint_lesions
from training.phantom.bodies.data_folder import PARTIAL, each_made, write_image
from training.training_errors import DataError
from training.whole_files import read_json, write_json, write_text

log = logging.getLogger(__name__)

LESION = "tumor"
"""What lesions become, where a data set has no structure that this is another word for."""
FOLDERS = IMAGES, LABELS = "imagesTr", "labelsTr"
DOCUMENTS = (ANNOTATED, GIVEN, SPLITS)
PAINTED = "painted"
"""In `dataset.json`: the call that made it."""
TIMES, CHANCES = (0, 1, 2, 3, 4), (0.12, 0.28, 0.25, 0.2, 0.15)
"""How many times lesions are painted into an organ of a copy, which is drawn each time, and how often."""


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What is to be painted where."""

    output: Path
    """Folder to write, in nnU-Net's raw layout."""
    labels: LabelSet
    """Of the data; may have no structure for lesions."""
    lesion: str
    """The structure that lesions become."""
    lesion_id: int
    """Its id."""
    seed: int
    copies: int
    """Copies of each case, each with lesions of its own."""

    @property
    def call(self) -> dict[str, int]:
        """What a call of the same data must say to give the same."""
        return {"seed": self.seed, "copies": self.copies}


@dataclass(frozen=True, kw_only=True)
class PaintedCopy:
    """A copy that was written."""

    name: str
    source: str
    """The case that it is a copy of."""
    tumors: tuple[dict[str, object], ...]
    """Site and diameter in mm of each lesion."""


@dataclass(frozen=True, kw_only=True)
class _Painted:
    """What became of one case."""

    copies: tuple[PaintedCopy, ...]
    """Those into which a lesion was painted."""
    warnings: tuple[str, ...]
    """What the readers found odd."""


def paint_data_set(
    data: Path, output: Path, *, seed: int = 0, copies: int = 1, workers: int = 1
) -> tuple[PaintedCopy, ...]:
    """Write copies of all cases with lesions in them, and tell which.

    Args:
        data: labelled CTs of one channel, with a label set beside them, whose organs are known by their names
            as other data sets write them, too.
        output: folder to write; may hold what the same call wrote or did not end, and nothing else.
        seed: source of all randomness.
        copies: of each case.
        workers: processes; copies do not depend on their number.

    Raises:
        ValueError: a number is out of range.
        RecipeError: the label set is faulty, or one of regions.
        DataError: there is no usable data set or label set, a case cannot be read, something else lies in
            the folder, or no lesion was painted.
        WriteError: a file cannot be written.
    """
    if seed < 0 or copies < 1 or workers < 1:
        raise ValueError("the seed must be at least 0, copies and workers at least 1")
    cases = labelled_cases(data)
    painting = _painting(data, output, seed, copies)
    _refuse_others(cases, data)
    _make_room(painting, cases)
    _warn_of_unlabelled(cases, painting)
    paint = partial(_paint, cases=cases, painting=painting)
    written: list[PaintedCopy] = []
    for number, painted in enumerate(each_made(paint, range(len(cases)), workers), start=1):
        for warning in painted.warnings:
            log.warning("%s", warning)
        for copy in painted.copies:
            log.info("case %d/%d, %s: %s", number, len(cases), *_told(copy))
        written += painted.copies
    if not written:
        raise DataError(f"{data}: no lesion was painted; take another --seed, or data that show organs")
    _write_documents(cases, painting, written)
    return tuple(written)


def _told(copy: PaintedCopy) -> tuple[str, str]:
    count = len(copy.tumors)
    return copy.name, "1 lesion" if count == 1 else f"{count} lesions"


def _painting(data: Path, output: Path, seed: int, copies: int) -> Painting:
    """What is to be painted, by the label set beside the data.

    Raises:
        RecipeError: it is faulty, or one of regions.
        DataError: there is none, it has no organ that lesions are painted into, or no id is left.
    """
    labels = label_set_beside(data)
    if labels is None:
        raise DataError(f"{data}: states no label set; put a dataset.json or labels.json beside the cases")
    if not _flare_ids(labels):
        raise DataError(f"{data}: names no organ that lesions are painted into; such are {', '.join(SITES)}")
    own = next((name for name in labels.ids if same_name(name, LESION)), None)
    if own is None:
        lesion, lesion_id = LESION, _free_id(data, labels)
        if others := (*labels.lesions, *labels.perhaps_lesions):
            log.warning(
                "%s: painted lesions become %s, a structure beside %s", data, LESION, ", ".join(others)
            )
    else:
        lesion, lesion_id = own, labels.ids[own]
    return Painting(
        output=output, labels=labels, lesion=lesion, lesion_id=lesion_id, seed=seed, copies=copies
    )


def _free_id(data: Path, labels: LabelSet) -> int:
    """An id that means nothing yet: the one after all others, as nnU-Net wants it, where there is one."""
    taken = {*labels.ids.values(), ignored_id(find_label_file(folder_of(data)))}
    last = max(labels.ids.values())
    free: list[int] = [n for n in (*range(last + 1, 256), *range(1, last)) if n not in taken]
    if not free:
        raise DataError(f"{data}: its label set has no id left for {LESION}")
    return free[0]


def _flare_ids(labels: LabelSet) -> dict[int, int]:
    """Id of each organ that lesions are painted into to its FLARE23 id."""
    return {
        label_id: FLARE23.ids[site]
        for name, label_id in labels.ids.items()
        for site in SITES
        if same_name(name, site)
    }


def _refuse_others(cases: Sequence[CaseFiles], data: Path) -> None:
    for case in cases:
        if case.prepared is not None:
            raise DataError(
                f"{data}: is a prepared store, without its CTs; give the data that it was made of"
            )
        if len(case.images) != 1:
            raise DataError(
                f"{case.images[0]}: case {case.name} has {len(case.images)} channels; lesions are painted "
                "into CTs, of one channel"
            )


def _make_room(painting: Painting, cases: Sequence[CaseFiles]) -> None:
    """Make the folders; leave what the same call wrote, or did not end, to be written anew.

    Raises:
        DataError: something else lies there.
    """
    output = painting.output
    copies = [copy_name(case.name, copy) for case in cases for copy in range(painting.copies)]
    expected = {
        *(output / name for name in (*FOLDERS, *DOCUMENTS)),
        *(output / IMAGES / f"{copy}_0000.nii.gz" for copy in copies),
        *(output / LABELS / f"{copy}.nii.gz" for copy in copies),
    }
    if _call_in(output / DATASET) == painting.call:
        expected.add(output / DATASET)
    for path in output.rglob("*") if output.is_dir() else ():
        if path not in expected and not path.name.startswith(PARTIAL):
            raise DataError(f"{path}: is there already; choose another folder with --output")
    for name in FOLDERS:
        (output / name).mkdir(parents=True, exist_ok=True)
        for left in (output / name).glob(f"{PARTIAL}*"):
            left.unlink()


def _call_in(path: Path) -> object:
    """What a `dataset.json` says of the call that made it."""
    try:
        document = read_json(path)
    except (OSError, ValueError):
        return None
    return document.get(PAINTED) if isinstance(document, Mapping) else None


def _warn_of_unlabelled(cases: Sequence[CaseFiles], painting: Painting) -> None:
    """Say so where the data have lesions of their own that cases do not annotate."""
    lesion = painting.lesion
    if lesion not in painting.labels.ids:
        return
    without = [case.name for case in cases if case.annotated is not None and lesion not in case.annotated]
    if without:
        log.warning(
            "%d case(s) do not annotate %s, %s first: what real ones they hold is taught to be none",
            len(without),
            lesion,
            without[0],
        )


def _paint(number: int, *, cases: Sequence[CaseFiles], painting: Painting) -> _Painted:
    """Write the copies of one case into which a lesion is painted."""
    case = cases[number]
    image, ids, geometry, warnings = _read(case, painting.labels)
    flare = np.zeros(256, np.uint8)
    for label_id, flare_id in _flare_ids(painting.labels).items():
        flare[label_id] = flare_id
    copies = []
    for copy in range(painting.copies):
        organs, painted = flare[ids], image.astype(np.float32)
        rng = np.random.default_rng([painting.seed, number, copy])
        lesions: list[dict[str, object]] = []
        for _ in range(int(rng.choice(TIMES, p=CHANCES))):
            lesions += paint_lesions(painted, organs, geometry.spacing_zyx_mm, rng)
        if not lesions:
            continue
        name = copy_name(case.name, copy)
        voxels = np.rint(painted).astype(np.int16) if image.dtype == np.int16 else painted
        labels = np.where(organs == TUMOR, np.uint8(painting.lesion_id), ids)
        _write(voxels, geometry, painting.output / IMAGES / f"{name}_0000.nii.gz")
        _write(labels, geometry, painting.output / LABELS / f"{name}.nii.gz")
        copies.append(PaintedCopy(name=name, source=case.name, tumors=tuple(lesions)))
    return _Painted(copies=tuple(copies), warnings=warnings)


def copy_name(case: str, copy: int) -> str:
    """Name of a copy of a case, of which the first is copy 0.

    >>> copy_name("case_7", 0)
    'case_7_lesions1'
    """
    return f"{case}_lesions{copy + 1}"


def _read(case: CaseFiles, labels: LabelSet) -> tuple[Voxels, U8, Geometry, tuple[str, ...]]:
    """Image and ids of a case, both as the image lies in its file, its grid, and what is odd about them.

    Raises:
        DataError: a file cannot be read, or the labels do not fit the image or the label set.
    """
    image, stored = read_stored(case.images[0]), read_stored(case.labels)
    (upright, orientation), (upright_labels, _) = to_canonical(image), to_canonical(stored)
    refuse_other_grid(upright.geometry, upright_labels.geometry, case.labels, "its image")
    ids = as_ids(orientation.undo(upright_labels.array), case.labels)
    foreign = labels.foreign(np.flatnonzero(counts_of_ids(ids)).tolist())
    if foreign:
        raise DataError(
            f"{case.labels}: holds id {foreign[0]}, which the label set beside the data does not name; "
            "correct one of them"
        )
    warnings = [f"{case.images[0]}: {warning}" for warning in image.warnings]
    return image.array, ids, image.geometry, tuple(warnings)


def _write(voxels: Voxels | U8, geometry: Geometry, path: Path) -> None:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(geometry.origin_xyz_mm)
    image.SetDirection(geometry.direction)
    write_image(image, path)


def _write_documents(cases: Sequence[CaseFiles], painting: Painting, written: Sequence[PaintedCopy]) -> None:
    """Write what lies beside the copies: what each annotates, label set and cases.

    What people gave stays what it was: no network is judged by lesions that they did not see.
    """
    by_name = {case.name: case for case in cases}
    annotated = {
        copy.name: tuple(dict.fromkeys((*structures, painting.lesion)))
        for copy in written
        if (structures := by_name[copy.source].annotated) is not None
    }
    given = {
        copy.name: structures for copy in written if (structures := by_name[copy.source].given) is not None
    }
    for file, told in ((ANNOTATED, annotated), (GIVEN, given)):
        if told:
            write_text(painting.output / file, annotated_text(told))
    labels = painting.labels
    document: dict[str, Any] = {
        "name": labels.name,
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **labels.ids, painting.lesion: painting.lesion_id},
        "pairs": list(labels.pairs),
        "lesions": list(dict.fromkeys((*labels.lesions, painting.lesion))),
        "numTraining": len(written),
        "file_ending": ".nii.gz",
        PAINTED: painting.call,
        "cases": list(written),
    }
    write_json(painting.output / DATASET, document)
