"""A prepared store: cases on a network's grid, in chunks, so that a patch reads no more than it shows.

    STORE/store.json                 what the arrays depend on, and the names of the cases
    STORE/cases/CASE.image.b2nd      (input channels, z, y, x): int16 HU, or float32 network input
    STORE/cases/CASE.labels.b2nd     (z, y, x) uint8 label ids
    STORE/cases/CASE.points.npz      for each id that occurs, some of its voxels
    STORE/cases/CASE.json            sources and their hashes, statistics; written last: the case is complete

Label sets, `annotated.json` and `fingerprint.json` of the data set are copied beside them. HU serve every
recipe with the same grid, whatever its intensity and channels (docs/decisions/prepared-store.md).
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from inference.preprocessing.intensity import ChannelStatistics
from model.arrays import U8, Zyx
from model.bundle import file_sha256
from model.schema import SchemaError, dump, parse
from training.data.file_lists import files_of
from training.data.sampling import POINTS_PER_CLASS
from training.data.stored_arrays import Index
from training.data.stored_grid import StoredGrid, stored_grid
from training.data_place import STORE
from training.random_streams import generator_of_name
from training.recipes.recipe import Recipe
from training.training_errors import DataError
from training.whole_files import read_json

FORMAT = "leanseg-store-1"


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """The whole of `store.json`."""

    format: str = FORMAT
    data: str
    """Name of the data set."""
    recipe: str
    """Name of the recipe that it was prepared by; others with the same grid can use it."""
    grid: StoredGrid
    cases: tuple[str, ...]
    folds: Mapping[str, int] | None = None
    """Case to the fold that holds it out, where the datalist said so; none in older stores."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An image or a label map that a case was made from, as it was then.

    It may be several files: a folder with a DICOM series, or a header and its voxels.
    """

    path: str
    """The file, the folder or the header."""
    bytes: int
    """The sum over its files."""
    modified_ns: int
    """The sum over its files, which changes with the time of any of them."""
    sha256: str
    """Of several files, over the names and the SHA-256 of each."""


@dataclass(frozen=True, kw_only=True)
class CaseRecord:
    """The whole of a case's JSON file."""

    grid_sha256: str
    """Of the grid that it was prepared for."""
    sources: tuple[Source, ...]
    statistics: tuple[ChannelStatistics, ...]
    """Of each channel, over the whole image, before it was resampled."""
    size_zyx: Zyx
    voxels: Mapping[str, int]
    """Label id to its count of voxels on the grid."""


def read_store(folder: Path) -> StoreInfo:
    """What a store says of itself.

    Raises:
        DataError: it cannot be read, or is none.
    """
    path = folder / STORE
    try:
        info = parse(StoreInfo, read_json(path))
    except (OSError, ValueError, SchemaError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: is no prepared store ({said}); prepare it anew") from error
    if info.format != FORMAT:
        raise DataError(f"{path}: is of another version; prepare it anew in another folder")
    return info


def refuse_other_grid_of_store(folder: Path, recipe: Recipe) -> None:
    """Compare what a store holds with what a recipe wants.

    Raises:
        DataError: they differ; the fields are named.
    """
    held, wanted = dump(read_store(folder).grid), dump(stored_grid(recipe))
    apart = [name for name in wanted if held.get(name) != wanted[name]]
    apart += [name for name in held if name not in wanted]
    if apart:
        shown = ", ".join(f"{name} {held.get(name)} (recipe: {wanted.get(name)})" for name in apart)
        raise DataError(
            f"{folder}: was prepared with {shown}; prepare the data for recipe {recipe.name} elsewhere"
        )


def case_path(folder: Path, name: str, what: str) -> Path:
    """Where a store keeps a part of a case: `image.b2nd`, `labels.b2nd`, `points.npz` or `json`."""
    return folder / "cases" / f"{name}.{what}"


def read_record(folder: Path, name: str) -> CaseRecord | None:
    """What a store says of a case; None where it is not complete."""
    try:
        return parse(CaseRecord, read_json(case_path(folder, name, "json")))
    except (OSError, ValueError, SchemaError):
        return None


def changed_source(record: CaseRecord, paths: Sequence[Path] | None = None) -> Path | None:
    """A file that is not what the case was made from; None for none.

    Files of the same place, size and time of change are taken to be the same; others are hashed.

    Args:
        record: of the case.
        paths: where its files are now; None: where they were, and those that are gone are left out.
    """
    if paths is not None and len(paths) != len(record.sources):
        return paths[0]
    now = paths_of(record) if paths is None else paths
    for source, path in zip(record.sources, now, strict=True):
        if paths is None and not path.exists():
            continue
        held_bytes, modified_ns = stamp_of(path)
        is_there = paths is None or str(path.resolve()) == source.path
        if is_there and (held_bytes, modified_ns) == (source.bytes, source.modified_ns):
            continue
        if held_bytes != source.bytes or image_sha256(path) != source.sha256:
            return path
    return None


def paths_of(record: CaseRecord) -> list[Path]:
    """Where the files were that a case was made from."""
    return [Path(source.path) for source in record.sources]


def with_places(record: CaseRecord, paths: Sequence[Path]) -> CaseRecord:
    """A record whose files, which have not changed, lie elsewhere now, or were touched."""
    sources = []
    for source, path in zip(record.sources, paths, strict=True):
        held_bytes, modified_ns = stamp_of(path)
        sources.append(replace(source, path=str(path.resolve()), bytes=held_bytes, modified_ns=modified_ns))
    return replace(record, sources=tuple(sources))


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes and time of change, ns, of an image or a label map, as `Source` has them.

    Raises:
        DataError: it is a folder without any file.
    """
    states = [file.stat() for file in files_of(path)]
    return sum(state.st_size for state in states), sum(state.st_mtime_ns for state in states)


def image_sha256(path: Path) -> str:
    """SHA-256 over every byte of an image or a label map, in hexadecimal, as `Source` has it.

    Raises:
        DataError: it is a folder without any file.
    """
    files, base = files_of(path), path if path.is_dir() else path.parent
    if files == [path]:
        return file_sha256(path)
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(base).as_posix()} {file_sha256(file)}\n".encode())
    return found.hexdigest()


@dataclass(frozen=True)
class OnDisk:
    """An array of a store, opened anew for each read.

    So threads do not meet in one decompressor, and thousands of cases need no open files.
    """

    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return tuple(self._open().shape)

    @property
    def nbytes(self) -> int:
        """Memory that it takes: none."""
        return 0

    @property
    def whole_nbytes(self) -> int:
        """Memory that all of it would take, bytes."""
        return int(self._open().nbytes)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """The part inside slices, from the chunks that it lies in."""
        try:
            return np.asarray(self._open()[index])
        except RuntimeError as error:
            raise self._damaged(error) from error

    def _open(self) -> Any:  # noqa: ANN401 - blosc2 has no types
        try:
            return blosc2.open(str(self.path), mode="r", dparams={"nthreads": 1})
        except (RuntimeError, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError:
        said = " ".join(str(error).split())
        return DataError(f"{self.path}: is damaged ({said}); delete it and run prepare again")


def points_of_classes(
    folder: Path, name: str, voxels: Mapping[str, int], table: U8
) -> tuple[NDArray[np.int16], ...]:
    """For each class that is present, in order, some of its voxels, (n, 3).

    A class of several ids has points of each in the proportion of their voxels.

    Args:
        folder: of the store.
        name: of the case.
        voxels: of each label id.
        table: from label id to class.
    """
    rng = generator_of_name(name)
    path = case_path(folder, name, "points.npz")
    by_class: dict[int, list[int]] = {}
    for label_id in map(int, voxels):
        by_class.setdefault(int(table[label_id]), []).append(label_id)
    found = []
    try:
        with np.load(path, allow_pickle=False) as stored:
            for number in sorted(by_class):
                ids = by_class[number]
                total = sum(voxels[str(label_id)] for label_id in ids)
                some = [_share(stored[str(label_id)], voxels[str(label_id)] / total, rng) for label_id in ids]
                found.append(np.concatenate(some) if len(ids) > 1 else stored[str(ids[0])])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it and run prepare again") from error
    return tuple(found)


def _share(points: NDArray[np.int16], share: float, rng: np.random.Generator) -> NDArray[np.int16]:
    wanted = min(len(points), max(1, round(share * POINTS_PER_CLASS)))
    return points[rng.permutation(len(points))[:wanted]]
