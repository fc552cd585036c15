"""A new data-set folder in which a bundle has filled in what nobody annotated.

imagesTr/          links to the images
labelsTr/          label maps: given labels with organs filled in; links where nothing was missing
annotated.json     what each case annotates now: given and filled
given.json         what people annotated, by which validation judges
labels.json        the label set
dataset.json       name, channels and labels, for nnU-Net and the like
pseudo_labels.json the bundle, and how many voxels of which organ each case got
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.errors import OutputError
from inference.imaging.orientation import orient, orientation_of
from inference.imaging.writing import write_labels
from model.arrays import counts_of_ids
from model.bundle import ModelBundle
from model.labels import BACKGROUND, LabelSet
from model.schema import dump
from training.data.annotations import ANNOTATED, GIVEN, annotated_text
from training.data.image_links import link_image, link_images, refuse_series
from training.data.on_grid import as_ids, read_canonical, read_stored, refuse_foreign, refuse_other_grid
from training.data.quick_hash import files_sha256
from training.data_place import DATASET
from training.engine import EngineOptions, label_images
from training.pseudo_labels.filling import fill
from training.pseudo_labels.whole_folder import RECORD, Purpose, is_there, whole_folder
from training.training_errors import DataError
from training.whole_files import write_json

TO_LABEL, FOUND = "to_label", "found"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CaseToFill:
    """A case, and what a bundle is to fill in."""

    name: str
    images: tuple[Path, ...]
    labels: Path | None
    """Its label map; None: it has none."""
    annotated: tuple[str, ...] | None
    """Structures that it annotates so far; None: all."""
    given: tuple[str, ...] | None
    """Those of them that people annotated; None: all."""
    missing: tuple[str, ...]
    """Organs to fill in; none: the case stays as it is."""


@dataclass(frozen=True, kw_only=True)
class Filling:
    """What is filled in where, and by what."""

    cases: tuple[CaseToFill, ...]
    labels: LabelSet
    bundle: ModelBundle
    name: str
    """What the new data set calls itself."""

    @property
    def purpose(self) -> Purpose:
        """What the new folder is made from."""
        files = [
            (path.name, path)
            for case in self.cases
            for path in (*case.images, *([case.labels] if case.labels else []))
        ]
        return {
            "bundle": {"name": self.bundle.manifest.name, "files": dict(self.bundle.manifest.files)},
            "manifest_sha256": _manifest_sha256(self.bundle),
            "labels": dump(self.labels),
            "missing": {case.name: list(case.missing) for case in self.cases},
            "given": {case.name: list(case.given) for case in self.cases if case.given is not None},
            "files_sha256": files_sha256(files),
        }


def write_filled(output: Path, filling: Filling, options: EngineOptions, gpus: Sequence[int] = ()) -> None:
    """Write the folder, or what an interrupted call has left to do; nothing if it is there already.

    Args:
        output: folder to write.
        filling: what is filled in where.
        options: of the engine.
        gpus: among which cases are shared out; none: the engine runs once, and chooses.

    Raises:
        DataError: there is something else at `output`, a file cannot be read or written, or label maps of a
            case do not fit each other.
        TrainingError: the engine could not label a case.
    """
    refuse_series(path for case in filling.cases for path in case.images)
    purpose = filling.purpose
    if is_there(output, purpose):
        logger.info("%s: is complete already", output)
        return
    todo = [case for case in filling.cases if case.missing]
    with whole_folder(output, purpose) as folder:
        for case in filling.cases:
            link_images(case.name, case.images, folder / "imagesTr")
        shares = _shared_out(todo, folder / TO_LABEL, max(1, len(gpus)))
        label_images(shares, folder / FOUND, filling.bundle.folder, options, gpus[: len(shares)])
        (folder / "labelsTr").mkdir(exist_ok=True)
        filled = {case.name: _write_case(case, folder, filling.labels) for case in filling.cases}
        _write_documents(folder, filling)
        voxels = {case.name: filled[case.name] for case in todo}
        write_json(folder / RECORD, {"purpose": purpose, "voxels_filled": voxels})
        for name in (TO_LABEL, FOUND):
            shutil.rmtree(folder / name)
    empty = sorted(name for name, counts in voxels.items() if not any(counts.values()))
    if empty:
        logger.warning(
            "in %d case(s), %s first, the bundle found none of the organs that they lack; training takes "
            "these for absent: leave such cases out, or use a better bundle",
            len(empty),
            empty[0],
        )
    logger.info("%d cases filled in, %d left as they are: %s", len(todo), len(filled) - len(todo), output)


def _shared_out(cases: Sequence[CaseToFill], folder: Path, count: int) -> list[Path]:
    """Links to the images of cases in folders `0`, `1` …, as evenly as may be; one for each at most."""
    shutil.rmtree(folder, ignore_errors=True)  # Of a call with another number of GPUs.
    shares = [folder / str(number) for number in range(min(count, len(cases)))]
    for number, case in enumerate(cases):
        link_images(case.name, case.images, shares[number % len(shares)])
    return shares


def _manifest_sha256(bundle: ModelBundle) -> str:
    """Of all that a manifest says but the memory of its networks, on which no two measurements agree."""
    manifest = bundle.manifest
    members = tuple(replace(member, memory_mb={}) for member in manifest.members)
    region = manifest.localization and replace(manifest.localization, memory_mb={})
    said = dump(replace(manifest, members=members, localization=region))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _write_case(case: CaseToFill, folder: Path, labels: LabelSet) -> dict[str, int]:
    """Write a case's label map; organ to the voxels that it got."""
    place = folder / "labelsTr" / f"{case.name}.nii.gz"
    if not case.missing:
        assert case.labels is not None, "a case without labels lacks every organ"
        link_image(case.labels, folder / "labelsTr", case.name)
        return {}
    path = folder / FOUND / f"{case.name}.nii.gz"
    found = read_canonical(path)
    found_ids = as_ids(found.array, path)
    stored = read_stored(case.labels or path)
    geometry = stored.geometry
    if case.labels is None:
        ids = np.zeros(geometry.size_zyx, np.uint8)
    else:
        ids = as_ids(stored.array, case.labels)
        refuse_foreign(counts_of_ids(ids), labels, case.labels)
    orientation = orientation_of(geometry)
    refuse_other_grid(found.geometry, orient(geometry, orientation), case.labels or path, "its image")
    counts = fill(orientation.apply(ids), found_ids, {name: labels.ids[name] for name in case.missing})
    try:
        write_labels(place, ids, geometry)
    except OutputError as error:
        raise DataError(str(error)) from error
    return counts


def _write_documents(folder: Path, filling: Filling) -> None:
    """Write what says something of the cases."""
    labels, inputs = filling.labels, filling.bundle.manifest.inputs
    annotated: dict[str, tuple[str, ...]] = {}
    given: dict[str, tuple[str, ...]] = {}
    for case in filling.cases:
        if case.annotated is not None:
            known = {*case.annotated, *case.missing}
            annotated[case.name] = tuple(name for name in labels.names if name in known)
        if case.given is not None:
            given[case.name] = case.given
    stated = dump(labels)
    states = {"labels": stated["ids"], "pairs": stated["pairs"], "lesions": stated["lesions"]}
    (folder / ANNOTATED).write_text(annotated_text(annotated), encoding="utf-8")
    (folder / GIVEN).write_text(annotated_text(given), encoding="utf-8")
    write_json(folder / "labels.json", {"name": labels.name, **states})
    write_json(
        folder / DATASET,
        {
            "name": filling.name,
            "channel_names": {str(number): one.name for number, one in enumerate(inputs)},
            "labels": {BACKGROUND: 0, **stated["ids"]},
            "numTraining": len(filling.cases),
            "file_ending": ".nii.gz",
        },
    )
