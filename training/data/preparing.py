"""Bring cases to a network's grid and write them into a store (`training.data.prepared`)."""

import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from inference.imaging.volume import Volume
from inference.preprocessing.intensity import NOTHING, channel_statistics
from inference.preprocessing.resampling import model_size, resample_image, resample_labels
from leanseg.atomic_files import sweep
from model.arrays import F32, Zyx, counts_of_ids
from model.label_files import FILES
from model.manifest.resampling import along_axes
from training.augmentation.crops import BEYOND
from training.data.annotations import ANNOTATED, GIVEN
from training.data.found_cases import CaseFiles
from training.data.on_grid import network_input, read_checked
from training.data.prepared import (
    CaseRecord,
    Source,
    StoreInfo,
    case_path,
    changed_source,
    image_sha256,
    read_record,
    refuse_other_grid_of_store,
    stamp_of,
    with_places,
)
from training.data.read_warnings import ReadWarnings
from training.data.sampling import class_points
from training.data.stored_grid import StoredGrid, grid_hash, stored_grid
from training.data_place import SPLITS, STORE
from training.folder_lock import LOCK
from training.random_streams import generator_of_name
from training.recipes.recipe import Recipe
from training.training_errors import DataError
from training.whole_files import whole_file, write_json

CHUNK, BLOCK = (64, 64, 64), (32, 32, 32)
"""The least that is read, and the least that is decompressed, (z, y, x)."""
COMPRESSION = {"codec": blosc2.Codec.ZSTD, "clevel": 1, "nthreads": 1}
INT16 = np.iinfo(np.int16)

logger = logging.getLogger(__name__)


def prepare(
    folder: Path,
    cases: Sequence[CaseFiles],
    recipe: Recipe,
    data_name: str,
    *,
    workers: int = 1,
    seen: Callable[[str], object] = lambda name: None,
    notes: ReadWarnings | None = None,
) -> int:
    """Write a store, or what is missing of one.

    Nobody else may be at work there meanwhile (`training.folder_lock`).

    Cases that an earlier call completed are left as they are, unless their files have changed since. Where
    these lie elsewhere now, the store says so from then on.

    Args:
        folder: the store.
        cases: of the data set.
        recipe: with all figures of its fingerprint.
        data_name: what the data set calls itself.
        workers: threads.
        seen: called with the name of each case when it is complete.
        notes: takes what readers find odd about files.

    Returns:
        How many cases were brought to the grid.

    Raises:
        DataError: the store is of another grid, or a case cannot be read.
        WriteError: the store cannot be written.
    """
    refuse_other_folder(folder)
    if (folder / STORE).is_file():
        refuse_other_grid_of_store(folder, recipe)
    grid = stored_grid(recipe)
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    for swept in (folder, folder / "cases"):
        sweep(swept)
    names = tuple(case.name for case in cases)
    folds = {case.name: case.fold for case in cases if case.fold is not None} or None
    info = StoreInfo(data=data_name, recipe=recipe.name, grid=grid, cases=names, folds=folds)
    write_json(folder / STORE, info)
    digest = grid_hash(grid)

    def one(case: CaseFiles) -> bool:
        return _prepare_one(case, folder, recipe, digest, notes)

    made = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="prepare") as pool:
        try:
            for case, was_made in zip(cases, pool.map(one, cases), strict=True):
                made += was_made
                seen(case.name)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return made


def refuse_other_folder(folder: Path) -> None:
    """Make sure that a folder is a store, or may become one.

    Raises:
        DataError: it holds something else.
    """
    if (
        not (folder / STORE).is_file()
        and folder.exists()
        and {path.name for path in folder.iterdir()} - {LOCK}
    ):
        raise DataError(f"{folder}: holds something else than a prepared store; choose another --output")


def _prepare_one(
    case: CaseFiles, folder: Path, recipe: Recipe, digest: str, notes: ReadWarnings | None
) -> bool:
    """Whether a case was brought to the grid, which has this hash; it was not where the store has it so."""
    record = read_record(folder, case.name)
    paths = (*case.images, case.labels)
    current = record is not None and record.grid_sha256 == digest
    changed = changed_source(record, paths) if record is not None and current else None
    if changed is not None:
        logger.info("%s: has changed since it was prepared: preparing it again", changed)
    if record is not None and current and changed is None:
        placed = with_places(record, paths)
        if placed != record:
            write_json(case_path(folder, case.name, "json"), placed)
        return False
    store_case(case, recipe, folder, notes)
    return True


def copy_beside(base: Path, folder: Path) -> None:
    """Copy what says something of the cases: label set, annotated structures, split into folds."""
    for name in (*FILES, ANNOTATED, GIVEN, SPLITS):
        if (base / name).is_file():
            with whole_file(folder / name) as partial:
                shutil.copyfile(base / name, partial)
        else:
            (folder / name).unlink(missing_ok=True)


def store_case(files: CaseFiles, recipe: Recipe, folder: Path, notes: ReadWarnings | None = None) -> None:
    """Bring a case to the grid and write it; the record comes last, so that a case is whole or not there.

    Args:
        files: of the case.
        recipe: says the grid.
        folder: of the store.
        notes: takes what readers find odd about the files.

    Raises:
        DataError: its files cannot be read or do not fit each other.
        WriteError: the store cannot be written.
    """
    grid = stored_grid(recipe)
    record_path = case_path(folder, files.name, "json")
    record_path.unlink(missing_ok=True)
    sources = tuple(_source(path) for path in (*files.images, files.labels))
    image, ids = read_checked(files.images, files.labels, recipe, notes)
    values = network_input(image, recipe) if grid.values == "input" else _as_hu(image, grid)
    size: Zyx = (values.shape[1], values.shape[2], values.shape[3])
    on_grid = resample_labels(ids, size)
    _write_array(case_path(folder, files.name, "image.b2nd"), values)
    _write_array(case_path(folder, files.name, "labels.b2nd"), on_grid)
    counts = counts_of_ids(on_grid)
    held = np.flatnonzero(counts).tolist()
    points = class_points(on_grid, generator_of_name(files.name))
    named: dict[str, Any] = {str(label_id): some for label_id, some in zip(held, points, strict=True)}
    with whole_file(case_path(folder, files.name, "points.npz")) as partial, partial.open("wb") as stream:
        np.savez(stream, **named)
    statistics = [channel_statistics(array) if grid.values == "hu" else NOTHING for array in image.channels]
    write_json(
        record_path,
        CaseRecord(
            grid_sha256=grid_hash(grid),
            sources=sources,
            statistics=tuple(statistics),
            size_zyx=size,
            voxels={str(label_id): int(counts[label_id]) for label_id in held},
        ),
    )


def _as_hu(image: Volume, grid: StoredGrid) -> NDArray[np.int16]:
    geometry = image.geometry
    size = model_size(geometry.size_zyx, geometry.spacing_zyx_mm, grid.spacing_zyx_mm)
    along = along_axes(grid.resampling, geometry.spacing_zyx_mm, grid.spacing_zyx_mm)
    made = np.empty((len(image.channels), *size), np.int16)
    for index, (array, bounds) in enumerate(zip(image.channels, grid.clipped, strict=True)):
        values: NDArray[Any] = np.nan_to_num(array, nan=INT16.min) if array.dtype != np.int16 else array
        if bounds is not None:
            values = np.clip(values.astype(np.float32), *bounds)
        resampled: F32 = resample_image(values, size, along)
        # The lowest number stands for what lies beyond an image.
        made[index] = np.clip(np.rint(resampled), BEYOND + 1, INT16.max)
    return made


def _source(path: Path) -> Source:
    held_bytes, modified_ns = stamp_of(path)
    return Source(
        path=str(path.resolve()), bytes=held_bytes, modified_ns=modified_ns, sha256=image_sha256(path)
    )


def _write_array(path: Path, array: NDArray[Any]) -> None:
    before = (1,) * (array.ndim - 3)
    packed = blosc2.asarray(
        np.ascontiguousarray(array),
        chunks=_fitted((*before, *CHUNK), array.shape),
        blocks=_fitted((*before, *BLOCK), array.shape),
        cparams=COMPRESSION,
    )
    # Not written by the library, which says of no failure what the system said.
    with whole_file(path) as partial:
        partial.write_bytes(packed.to_cframe())


def _fitted(wanted: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(min(a, b) for a, b in zip(wanted, shape, strict=True))
