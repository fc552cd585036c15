"""Folders of cases in nnU-Net's raw layout; the only place of the generator that touches files."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from inference.imaging.formats.nifti_header import VOXELS_AT
from model.labels import FLARE23
from training.endable_workers import EndableWorkers
from training.phantom.bodies.body import Body, prepare_body
from training.phantom.bodies.body_case import COVERAGES as OF_BODIES
from training.phantom.bodies.drawn_case import draw_case
from training.phantom.case import COVERAGES as OF_DRAWN
from training.phantom.case import PhantomCase
from training.phantom.maps import AnatomyMap, anatomy_from_labels
from training.training_errors import DataError
from training.whole_files import read_json, write_json, writing

log = logging.getLogger(__name__)

WORKER_DIED = (
    "a process that draws cases has died; if memory ran out, take fewer with --workers "
    "(in a plan, --case-makers)"
)

Item = TypeVar("Item")
Made = TypeVar("Made")

PARTIAL = ".partial-"
"""Begins the name of a file that is being written."""
GZIP_END = 4
"""Bytes at the end of a gzip file that say how long it was."""

COMMON_ORIENTATIONS = ("LPS", "RAS", "LAS")
ALL_ORIENTATIONS = tuple(
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*order)
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Which cases to draw.

    Case `index` depends on the seed and on what all cases share, never on the number of cases.
    """

    cases: int
    seed: int = 0
    """Same seed, same bytes."""
    first_index: int = 0
    """Number of the first case, to extend a folder."""
    anatomy_share: float = 0.5
    """Share of cases made from label maps, where there are any."""
    elsewhere_share: float = 0.0
    """Share of cases that show other parts of the body, without any organ."""
    coverage: str | None = None
    """Examination of all cases (`case.COVERAGES`); None draws one for each."""
    spacing_zyx_mm: tuple[float, float, float] | None = None
    """Spacing of all cases; None draws one for each."""

    def __post_init__(self) -> None:
        if self.cases < 1 or self.first_index < 0 or self.seed < 0 or not 0 <= self.anatomy_share <= 1:
            raise ValueError(
                "cases must be at least 1, seed and first index at least 0, the anatomy share between 0 and 1"
            )
        if not 0 <= self.elsewhere_share <= 1:
            raise ValueError(f"the share of other parts must be between 0 and 1, is {self.elsewhere_share}")
        if self.spacing_zyx_mm is not None and not all(0.3 <= s <= 20 for s in self.spacing_zyx_mm):
            raise ValueError(f"spacing must be at least 0.3 and at most 20 mm, is {self.spacing_zyx_mm}")


def write_dataset(output: Path, cohort: Cohort, *, anatomy: Path | None = None, workers: int = 1) -> None:
    """Write `imagesTr/`, `labelsTr/` and `dataset.json`.

    Args:
        output: folder to write or to extend.
        cohort: which cases.
        anatomy: folder of label maps, the second source of anatomy.
        workers: processes; the cases do not depend on their number.

    Raises:
        ValueError: there is no worker, the anatomy folder holds no label map, or its bodies do not know the
            examination.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, is {workers}")
    bodies: Sequence[AnatomyMap | Body] = load_anatomy(anatomy) if anatomy is not None else []
    if any(isinstance(body, Body) for body in bodies) and cohort.coverage not in (None, *OF_BODIES):
        raise ValueError(
            f"{anatomy}: holds label maps of bodies, whose cases have no examination {cohort.coverage!r}; "
            f"of both kinds of case there are {', '.join(name for name in OF_BODIES if name in OF_DRAWN)}"
        )
    for name in ("imagesTr", "labelsTr"):
        (output / name).mkdir(parents=True, exist_ok=True)
    make = partial(_write_case, cohort=cohort, output=output, bodies=bodies)
    indices = range(cohort.first_index, cohort.first_index + cohort.cases)
    records = []
    for number, record in enumerate(each_made(make, indices, workers), start=1):
        records.append(record)
        seconds = record.pop("seconds")
        log.info(
            "%d/%d %s: %s, %s, %.1f s",
            number,
            cohort.cases,
            record["name"],
            record["coverage"],
            record["phase"],
            seconds,
        )
    _write_json(output, records, cohort.seed)


def each_made(make: Callable[[Item], Made], items: Sequence[Item], workers: int) -> Iterator[Made]:
    """What is made of each item, in their order, one after the other or by several processes.

    Args:
        make: writes cases and tells of them; a function that can be pickled, if there are several.
        items: what is given to it.
        workers: processes.
    """
    if workers == 1:
        yield from map(make, items)
        return
    with EndableWorkers(make, workers, WORKER_DIED) as processes:
        for made in [processes.submit(item) for item in items]:
            yield made.result()


STRUCTURES = "structures.json"


class LabelMap(NamedTuple):
    """A label map as it was read, towards left, posterior and superior."""

    name: str
    labels: npt.NDArray[np.uint8]
    """Ids, (z, y, x)."""
    spacing_zyx_mm: tuple[float, float, float]
    ids: Mapping[str, int] | None
    """What they stand for; None: FLARE ids."""


def read_label_maps(folder: Path) -> Iterator[LabelMap]:
    """Read every label map (`*.nii.gz`, any orientation) of a folder, in order of name.

    The maps hold FLARE ids; with a `structures.json` (name to id) beside them, all structures of a body.

    Raises:
        DataError: there is none, one cannot be read or holds other values, or `structures.json` is not
            readable.
    """
    listed = folder / STRUCTURES
    ids: dict[str, int] | None = None
    if listed.is_file():
        try:
            ids = {str(name): int(i) for name, i in json.loads(listed.read_text(encoding="utf-8")).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise DataError(f"{listed}: must be one JSON object of structure names and ids") from error
    paths = sorted(folder.glob("*.nii.gz"))
    if not paths:
        missing = "holds no label map (*.nii.gz)" if folder.is_dir() else "no such folder"
        raise DataError(f"{folder}: {missing}; give a folder of label maps with --anatomy")
    known = np.array(sorted([0, *(FLARE23.ids if ids is None else ids).values()]))
    for path in paths:
        try:
            image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
        except RuntimeError as error:
            raise DataError(f"{path}: cannot be read as a label map") from error
        x, y, z = image.GetSpacing()
        values = sitk.GetArrayFromImage(image)
        foreign = np.setdiff1d(np.unique(values), known)
        if foreign.size:
            source = "FLARE's ids" if ids is None else listed
            raise DataError(
                f"{path}: is no label map for here: it holds {foreign[0]:g}, which is not among {source}"
            )
        yield LabelMap(path.name.removesuffix(".nii.gz"), values.astype(np.uint8), (z, y, x), ids)


def load_anatomy(folder: Path) -> Sequence[AnatomyMap | Body]:
    """Prepare every label map of a folder, as `read_label_maps` finds them.

    Raises:
        DataError: as there.
        ValueError: one of them cannot be oriented.
    """
    return [
        anatomy_from_labels(name, labels, spacing)
        if ids is None
        else prepare_body(name, labels, spacing, ids)
        for name, labels, spacing, ids in read_label_maps(folder)
    ]


def _write_case(
    index: int, *, cohort: Cohort, output: Path, bodies: Sequence[AnatomyMap | Body]
) -> dict[str, object]:
    """Draw and write one case; returns its record for dataset.json."""
    start = time.perf_counter()
    rng = np.random.default_rng([cohort.seed, index])
    case = draw_case(
        rng,
        bodies,
        anatomy_share=cohort.anatomy_share,
        elsewhere_share=cohort.elsewhere_share,
        coverage=cohort.coverage,
        spacing_zyx_mm=cohort.spacing_zyx_mm,
    )
    common = rng.random() < 0.6
    code = str(rng.choice(COMMON_ORIENTATIONS if common else ALL_ORIENTATIONS))
    name = f"phantom_{index:05d}"
    write_image(to_sitk(case, case.image, code), output / "imagesTr" / f"{name}_0000.nii.gz")
    write_image(to_sitk(case, case.labels, code), output / "labelsTr" / f"{name}.nii.gz")
    return {
        "name": name,
        "orientation": code,
        "shape_zyx": list(case.image.shape),
        "spacing_xyz_mm": list(case.spacing_xyz_mm),
        **case.info,
        "seconds": time.perf_counter() - start,
    }


def to_sitk(case: PhantomCase, voxels: npt.NDArray[np.generic], orientation: str = "LPS") -> sitk.Image:
    """The case's image or labels with its geometry, stored along the axes of an orientation code (48)."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(case.spacing_xyz_mm)
    image.SetOrigin(case.origin_xyz_mm)
    image.SetDirection([float(v) for v in case.direction.ravel()])
    return sitk.DICOMOrient(image, orientation)


def write_image(image: sitk.Image, path: Path) -> None:
    """Write beside the target and rename, so that an interrupted run leaves no half file.

    Args:
        image: int16, uint8 or float32.
        path: ends in `.nii.gz`.

    Raises:
        WriteError: it cannot be written.
    """
    partial_path = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    with writing(path):
        partial_path.touch()  # What the system says against it SimpleITK does not tell.
        try:
            sitk.WriteImage(image, str(partial_path), useCompression=True)
            if not _is_whole(partial_path, image):  # Of a full disk SimpleITK says nothing.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            partial_path.replace(path)
        except RuntimeError as error:
            raise OSError(f"SimpleITK: {' '.join(str(error).split())}") from error
        finally:
            partial_path.unlink(missing_ok=True)


def _is_whole(path: Path, image: sitk.Image) -> bool:
    """Whether a `.nii.gz` says at its end that it holds the header and all voxels (modulo 4 GiB)."""
    voxels = int(image.GetNumberOfPixels() * image.GetSizeOfPixelComponent())
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < GZIP_END:
            return False
        file.seek(-GZIP_END, os.SEEK_END)
        return int.from_bytes(file.read(), "little") == (VOXELS_AT + voxels) % 2**32


def _write_json(output: Path, records: list[dict[str, object]], seed: int) -> None:
    """Write dataset.json; cases that an earlier run wrote into the folder stay listed."""
    path = output / "dataset.json"
    written = {str(r["name"]): {**r, "seed": seed} for r in records}
    if path.exists():
        earlier = read_json(path).get("cases", [])
        written = {**{str(r["name"]): r for r in earlier}, **written}
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **FLARE23.ids},
        "lesions": list(FLARE23.lesions),
        "numTraining": len(written),
        "file_ending": ".nii.gz",
        "cases": [written[name] for name in sorted(written)],
    }
    write_json(path, content)
