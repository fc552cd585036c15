"""Copies of labelled CTs with synthetic lesions in their organs: tumors to train on, where data have few.

The image may be a scan or drawn: an organ's own value is read off it, noise and fine texture stay. Each copy
is a function of (seed, number of the case in the order of names, number of the copy) alone.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from inference.errors import InputError
from inference.geometry import Geometry
from inference.imaging.reading import read_volume
from model.arrays import U8, Voxels, counts_of_ids
from model.label_files import find_label_file, ignored_id
from model.labels import FLARE23, LabelSet
from training.data.annotations import ANNOTATED, GIVEN, annotated_text
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.data.label_agreement import label_set_beside, same_name
from training.data.on_grid import as_ids, refuse_foreign, refuse_other_grid
from training.data_place import DATASET, folder_of
from training.phantom.bodies.body_lesions import SITES, TUMOR, paint_lesions
from training.phantom.bodies.data_folder import each_record, write_image
from training.training_errors import DataError
from training.whole_files import write_json, write_text, writing

log = logging.getLogger(__name__)

LESION = "tumor"
"""What lesions become, where a data set has no structure that this is another word for."""
FOLDERS = ("imagesTr", "labelsTr")
TIMES, CHANCES = (0, 1, 2, 3, 4), (0.12, 0.28, 0.25, 0.2, 0.15)
"""How many times lesions are painted into an organ of a copy, which is drawn each time, and how often."""


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What is to be painted where."""

    output: Path
    """Folder to write, in nnU-Net's raw layout."""
    labels: LabelSet
    """Of the data; may have no structure for lesions."""
    lesion: tuple[str, int]
    """The structure that lesions become, and its id."""
    seed: int
    copies: int
    """Copies of each case, each with lesions of its own."""


def paint_data_set(data: Path, output: Path, *, seed: int = 0, copies: int = 1, workers: int = 1) -> None:
    """Write copies of all cases with lesions in them.

    Args:
        data: labelled CTs of one channel, with a label set beside them, whose organs are known by their names
            as other data sets write them, too.
        output: folder to write; may hold copies that a call like this one did not end, and nothing else.
        seed: source of all randomness.
        copies: of each case.
        workers: processes; copies do not depend on their number.

    Raises:
        ValueError: a number is out of range.
        RecipeError: the label set is faulty, or one of regions.
        DataError: there is no usable data set or label set, a case cannot be read, or something else lies in
            the folder.
    """
    if seed < 0 or copies < 1 or workers < 1:
        raise ValueError("the seed must be at least 0, copies and workers at least 1")
    cases = labelled_cases(data)
    labels = _labels_of(data)
    painting = Painting(
        output=output, labels=labels, lesion=_structure_of_lesions(data, labels), seed=seed, copies=copies
    )
    _refuse_others(cases, data)
    _refuse_files_of_others(painting, cases)
    for name in FOLDERS:
        (output / name).mkdir(parents=True, exist_ok=True)
    asked = [(number, copy) for number in range(len(cases)) for copy in range(copies)]
    paint = partial(_paint, cases=cases, painting=painting)
    records = []
    for number, record in enumerate(each_record(paint, asked, workers), start=1):
        records.append(record)
        log.info("%d/%d %s: %d lesions", number, len(asked), record["name"], record.pop("painted"))
    _write_documents(cases, painting, records)


def _labels_of(data: Path) -> LabelSet:
    """The label set beside a data set.

    Raises:
        RecipeError: it is faulty, or one of regions.
        DataError: there is none, or it has no organ that lesions are painted into.
    """
    labels = label_set_beside(data)
    if labels is None:
        raise DataError(f"{data}: states no label set; put a dataset.json or labels.json beside the cases")
    if not _flare_ids(labels):
        raise DataError(f"{data}: names no organ that lesions are painted into; such are {', '.join(SITES)}")
    return labels


def _structure_of_lesions(data: Path, labels: LabelSet) -> tuple[str, int]:
    """What a data set calls a tumor, with its id; where it has none, `LESION` and an id that nothing has.

    Raises:
        DataError: no id is left.
    """
    own = next((name for name in labels.ids if same_name(name, LESION)), None)
    if own is not None:
        return own, labels.ids[own]
    taken = {*labels.ids.values(), ignored_id(find_label_file(folder_of(data)))}
    last = max(labels.ids.values())
    free = [number for number in (*range(last + 1, 256), *range(1, last)) if number not in taken]
    if not free:
        raise DataError(f"{data}: its label set has no id left for {LESION}")
    return LESION, free[0]


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


def _refuse_files_of_others(painting: Painting, cases: Sequence[CaseFiles]) -> None:
    """Let copies that a call like this one did not end be written anew, and nothing else."""
    copies = {copy_name(case.name, copy) for case in cases for copy in range(painting.copies)}
    expected = {*FOLDERS, *(f"{copy}{ending}" for copy in copies for ending in ("_0000.nii.gz", ".nii.gz"))}
    for path in painting.output.rglob("*") if painting.output.is_dir() else ():
        if path.name not in expected and not path.name.startswith("."):
            raise DataError(f"{path}: is there already; choose another folder with --output")


def _paint(asked: tuple[int, int], *, cases: Sequence[CaseFiles], painting: Painting) -> dict[str, object]:
    """Write one copy of one case; returns its record for dataset.json."""
    number, copy = asked
    case = cases[number]
    image, ids, geometry = _read(case, painting.labels)
    flare = np.zeros(256, np.uint8)
    for label_id, flare_id in _flare_ids(painting.labels).items():
        flare[label_id] = flare_id
    organs, painted = flare[ids], image.astype(np.float32)
    rng = np.random.default_rng([painting.seed, number, copy])
    lesions: list[dict[str, object]] = []
    for _ in range(int(rng.choice(TIMES, p=CHANCES))):
        lesions += paint_lesions(painted, organs, geometry.spacing_zyx_mm, rng)
    ids = np.where(organs == TUMOR, np.uint8(painting.lesion[1]), ids)
    name = copy_name(case.name, copy)
    if image.dtype == np.int16:
        painted = np.rint(painted).astype(np.int16)
    _write(painted, geometry, painting.output / "imagesTr" / f"{name}_0000.nii.gz")
    _write(ids, geometry, painting.output / "labelsTr" / f"{name}.nii.gz")
    return {"name": name, "source": case.name, "tumors": lesions, "painted": len(lesions)}


def copy_name(case: str, copy: int) -> str:
    """Name of a copy of a case, of which the first is copy 0.

    >>> copy_name("case_7", 0)
    'case_7_lesions1'
    """
    return f"{case}_lesions{copy + 1}"


def _read(case: CaseFiles, labels: LabelSet) -> tuple[Voxels, U8, Geometry]:
    """Image and ids of a case as they lie in its files."""
    try:
        image, stored = read_volume(case.images[0]), read_volume(case.labels)
    except InputError as error:
        raise DataError(str(error)) from error
    refuse_other_grid(image.geometry, stored.geometry, case.labels, "its image")
    ids = as_ids(stored.array, case.labels)
    refuse_foreign(counts_of_ids(ids), labels, case.labels)
    return image.array, ids, image.geometry


def _write(voxels: Voxels | U8, geometry: Geometry, path: Path) -> None:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(geometry.origin_xyz_mm)
    image.SetDirection(geometry.direction)
    with writing(path):
        write_image(image, path)


def _write_documents(
    cases: Sequence[CaseFiles], painting: Painting, records: Sequence[Mapping[str, object]]
) -> None:
    """Write what lies beside the copies: label set, cases, and what each annotates."""
    labels, (lesion, lesion_id) = painting.labels, painting.lesion
    for file, stated in (
        (ANNOTATED, {case.name: case.annotated for case in cases}),
        (GIVEN, {case.name: case.given for case in cases}),
    ):
        told = {
            copy_name(name, copy): tuple(dict.fromkeys((*structures, lesion)))
            for name, structures in stated.items()
            if structures is not None
            for copy in range(painting.copies)
        }
        if told:
            write_text(painting.output / file, annotated_text(told))
    write_json(
        painting.output / DATASET,
        {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, **labels.ids, lesion: lesion_id},
            "pairs": list(labels.pairs),
            "lesions": list(dict.fromkeys((*labels.lesions, lesion))),
            "numTraining": len(records),
            "file_ending": ".nii.gz",
            "seed": painting.seed,
            "cases": list(records),
        },
    )
