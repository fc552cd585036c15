"""What is written of a case beside its label map: DICOM objects that refer to the slices it was made from."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from inference.cohort.cases import Case
from inference.errors import InputError, UsageError
from inference.geometry import Geometry, same_grid
from inference.imaging.dicom_results.maker import NOTHING, Maker, Told
from inference.imaging.dicom_results.objects_written import ObjectsWritten
from inference.imaging.dicom_results.structures_found import structures_found
from inference.imaging.formats.dicom import Series
from inference.imaging.orientation import orient, orientation_of
from inference.imaging.reading import OpenedImage
from inference.imaging.writing import LABELS_SUFFIX, is_there, remove_results
from inference.planning.writing_cost import WritingCost
from model.arrays import U8
from model.labels import LabelSet
from model.organ_counts import listed

SUFFIXES: Mapping[str, str] = MappingProxyType({"dicom-seg": ".seg.dcm", "rtstruct": ".rtstruct.dcm"})
"""What `--format` takes, and how the files' names end."""
WRITING = "inference.imaging.dicom_results.dicom_file_writing"
REQUIREMENTS = "requirements/dicom.txt"
SEG_COST = WritingCost(libraries_mb=150.0, voxel_bytes=1, frame_bytes=10 << 10, frame_pixel_bytes=3 / 8)
"""A frame's pixels are bits, of which up to three copies were held; its description takes 10 KiB.

Libraries take 43 MiB, and highdicom's tables of what belongs into which object 110 while the first SEG of a
process is made, and 68 from then on.

Measured as how much the peak of a process (VmHWM, reset before) grew while it wrote one object with every
structure in every slice, a square, after it had written a small one. In MiB, in brackets by these figures:

| voxels | 1 structure | 13 | 26 | 52 | 104 |
|---|---|---|---|---|---|
| 128×128×60 | 3 (2) | 12 (13) | | | 79 (98) |
| 256×256×60 | 7 (6) | 29 (30) | | | 196 (211) |
| 512×512×60 | 21 (21) | 74 (96) | 179 (176) | 340 (338) | |
| 512×512×300 | | 365 (479) | | | |

What is not there takes nothing: of 117 structures, each in a part of the slices,

| voxels | 1 % | 12 % | 25 % | 100 % |
|---|---|---|---|---|
| 128×128×100 | | 22 (24) | | |
| 256×256×100 | 12 (10) | 52 (53) | 98 (103) | 366 (395) |
| 256×256×200 | | 104 (106) | | |
"""
RTSTRUCT_COST = WritingCost(libraries_mb=60.0, voxel_bytes=1, frame_bytes=17 << 10)
"""Measured in the same way: 35 and 50 MiB of 6240 squares in 60 slices of 128×128 and 256×256, 46 of 3120 in
60 of 512×512; and 65 of 13 organs, whose outlines are longer, in each of 300 slices of 512×512."""


class Writes(Protocol):
    """What is needed of `inference.imaging.dicom_results.dicom_file_writing`."""

    def __call__(
        self, paths: Mapping[str, Path], series: Series, labels: U8, label_set: LabelSet, maker: Maker
    ) -> ObjectsWritten:
        """Write a label map in DICOM formats."""
        ...


@dataclass(frozen=True, kw_only=True)
class FurtherResults:
    """Which further results a run writes, and what stands in them."""

    kinds: tuple[str, ...]
    """Keys of `SUFFIXES`."""
    label_set: LabelSet
    maker: Maker
    write_objects: Writes
    template: Series | None = None
    """Where the slices are, if not in the case itself."""

    def paths(self, label_map: Path) -> dict[str, Path]:
        """Kind to file, beside a label map."""
        return objects_beside(label_map, self.kinds)

    @property
    def cost(self) -> WritingCost:
        """What writing takes: one object at a time, of which a SEG takes the most."""
        each = SEG_COST if "dicom-seg" in self.kinds else RTSTRUCT_COST
        return replace(each, structures=len(self.label_set.names))

    def are_there(self, label_map: Path) -> bool:
        """Whether an earlier run wrote all of them beside a label map."""
        return all(is_there(path) and path.stat().st_size for path in self.paths(label_map).values())

    def check(self, case: Case, image: OpenedImage) -> None:
        """Make sure that there are slices to refer to, before the case is segmented.

        Raises:
            InputError: the case is no DICOM series and there is no template, or it lies elsewhere.
        """
        if self.template is None:
            if image.series is None:
                raise InputError(
                    f"{case.path}: is no DICOM series, to whose slices --format {self.kinds[0]} would refer; "
                    "give predict.py the series that it was made from with --template"
                )
        elif not any(same_grid(grid, _canonical(image.geometry)) for grid in _grids(self.template)):
            raise InputError(
                f"{case.path}: does not lie on the grid of the series given with --template; give the series "
                "that it was made from"
            )

    def write(
        self,
        image: OpenedImage,
        labels: U8,
        label_map: Path,
        allowed_mb: float | None = None,
        told: Told = NOTHING,
    ) -> ObjectsWritten:
        """Write all of them, or none.

        Args:
            image: the first channel of what was segmented.
            labels: its label map, on the image's grid.
            label_map: where that is written; its folder exists.
            allowed_mb: MiB that making them may take; None for any.
            told: what the user is told of the case, which stands in each of them.

        Raises:
            InputError: the series' headers lack what an object needs, or memory does not suffice.
            OutputError: a file cannot be written.
        """
        series = self.template or image.series
        assert series is not None, "checked before the case was segmented"
        of_template = [f"--template: {each}" for each in self.template.warnings] if self.template else []
        try:
            on_slices = orientation_of(series.geometry).undo(orientation_of(image.geometry).apply(labels))
            if allowed_mb is not None:
                self._check_memory(on_slices, allowed_mb)
            maker = replace(self.maker, told=replace(told, warnings=(*told.warnings, *of_template)))
            paths = self.paths(label_map)
            written = self.write_objects(paths, series, on_slices, self.label_set, maker)
            return replace(written, warnings=(*of_template, *written.warnings))
        except MemoryError as error:
            kinds = " or ".join(self.kinds)
            raise InputError(
                f"its slices and labels do not fit into this machine's memory as {kinds}; leave out --format"
            ) from error

    def _check_memory(self, labels: U8, allowed_mb: float) -> None:
        """Make sure that making them takes no more than they are left, now that it is known what was found.

        Args:
            labels: (slices, rows, columns).
            allowed_mb: MiB that they are left.

        Raises:
            InputError: it takes more.
        """
        depth, height, width = labels.shape
        size_zyx = (depth, height, width)
        if self.cost.mb(size_zyx) <= allowed_mb:
            return
        found = structures_found(labels, self.label_set)
        frames = int(found.in_slices[:, list(found.ids.values())].sum())
        taken_mb = self.cost.mb_of(size_zyx, frames)
        if taken_mb > allowed_mb:
            raise InputError(
                f"as {' or '.join(self.kinds)} it would take {ceil(taken_mb)} MiB of memory, with a "
                f"structure in a slice {frames} times, and {int(allowed_mb)} are left to it; raise "
                "--host-memory-mb, or leave out --format"
            )


def writing_cost(further: FurtherResults | None) -> WritingCost:
    """What is taken by what is written beside a label map, if anything is."""
    return WritingCost() if further is None else further.cost


def objects_beside(label_map: Path, kinds: Iterable[str] = SUFFIXES) -> dict[str, Path]:
    """Kind of DICOM object to where it lies, or would lie, beside a label map."""
    stem = label_map.name.removesuffix(LABELS_SUFFIX)
    return {kind: label_map.with_name(stem + SUFFIXES[kind]) for kind in kinds}


def remove_objects(label_map: Path, but: Sequence[str]) -> tuple[str, ...]:
    """Remove what an earlier run left beside a label map that is written anew; a warning if there was any.

    Args:
        label_map: where it is written.
        but: kinds of objects that were made of the new one.

    Raises:
        OutputError: one cannot be removed.
    """
    others = [kind for kind in SUFFIXES if kind not in but]
    return told_of_removed(remove_results(objects_beside(label_map, others).values()))


def told_of_removed(objects: Sequence[str]) -> tuple[str, ...]:
    """A warning that objects of these names were removed; none where there were none."""
    return (f"removed {listed(objects)}: of an earlier segmentation",) if objects else ()


def _canonical(geometry: Geometry) -> Geometry:
    return orient(geometry, orientation_of(geometry))


def _grids(series: Series) -> list[Geometry]:
    """A series' grid, and that of files which others make of it where the gantry was tilted.

    SimpleITK puts slices as far apart as their first voxels are, along the tilt, and not as their planes.
    """
    grid, first, last = series.geometry, series.images[0].position_mm, series.images[-1].position_mm
    if len(series.images) < 2 or first is None or last is None:
        return [_canonical(grid)]
    _, *in_plane = grid.spacing_zyx_mm
    along = float(np.linalg.norm(np.subtract(last, first))) / (len(series.images) - 1)
    return [_canonical(grid), _canonical(replace(grid, spacing_zyx_mm=(along, in_plane[0], in_plane[1])))]


def object_writer(kinds: Sequence[str]) -> Writes:
    """What writes DICOM objects, from packages that only it needs.

    Raises:
        UsageError: one of them is missing.
    """
    try:
        module = importlib.import_module(WRITING)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--format {kinds[0]} needs the package {error.name}: pip install -r {REQUIREMENTS}"
        ) from error
    writes: Writes = module.write_objects
    return writes


def further_results(
    kinds: Sequence[str],
    label_set: LabelSet,
    maker: Maker,
    template: Callable[[], Series] | None,
    cases: int,
) -> FurtherResults | None:
    """What a call asks for; None for label maps alone.

    Args:
        kinds: keys of `SUFFIXES`.
        label_set: what the labels mean.
        maker: the bundle.
        template: opens the series whose slices are referred to, if not in the case itself.
        cases: how many there are.

    Raises:
        UsageError: a package is missing, or one template is given for several cases or for none of its use.
        InputError: the template is no DICOM series, or not the one asked for.
    """
    if not kinds:
        if template is not None:
            raise UsageError("--template: is for DICOM results; ask for one with --format")
        return None
    if template is not None and cases > 1:
        raise UsageError(
            f"--template: is one series, and there are {cases} cases; give them as DICOM series, or one by "
            "one"
        )
    return FurtherResults(
        kinds=tuple(dict.fromkeys(kinds)),
        label_set=label_set,
        maker=maker,
        write_objects=object_writer(kinds),
        template=None if template is None else template(),
    )
