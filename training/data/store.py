"""Cases on a recipe's grid, brought there at first use and kept in memory.

Images whose values have ends by their intensity are kept as half floats, others as floats. What does not fit
into memory is made again each time, or read from a folder of resampled cases. Cases of a prepared store are
kept in memory as they are stored, or read from disk patch by patch.
"""

import hashlib
import json
import logging
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import OutputError
from inference.imaging.writing import whole_file
from leanseg.atomic_files import sweep
from model.arrays import U8
from model.labels import Table, channel_table
from model.schema import dump
from model.units import MIB
from training.data.annotations import annotated_channels
from training.data.file_lists import files_of
from training.data.found_cases import CaseFiles
from training.data.on_grid import read_on_grid
from training.data.prepared import (
    OnDisk,
    case_path,
    points_of_classes,
    read_record,
    refuse_other_grid_of_store,
)
from training.data.read_warnings import ReadWarnings
from training.data.sampling import GridCase, class_points
from training.data.stored_arrays import StoredImage, StoredLabels
from training.data.stored_grid import stored_grid
from training.random_streams import generator_of_name
from training.recipes.recipe import FOREGROUND, Recipe
from training.recipes.sampling_options import ClassesCentre
from training.training_errors import DataError, WriteError
from training.whole_files import writing

logger = logging.getLogger(__name__)


def recipe_table(recipe: Recipe, annotated: Sequence[bool] | None = None) -> Table:
    """Table from label id to the recipe's channel, (256,).

    Args:
        recipe: says the channels.
        annotated: whether a case annotates each of them; the others become background. None: all.
    """
    if recipe.channels == FOREGROUND:
        table = np.zeros(256, np.uint8)
        table[list(recipe.labels.ids.values())] = 1
    else:
        table = channel_table(recipe.labels, recipe.channel_names)
    if annotated is not None:
        table[~np.array(annotated)[table]] = 0
    return table


def class_table(recipe: Recipe, annotated: Sequence[bool] | None = None) -> Table:
    """Table from label id to the class that patches are centred in, (256,): see `ClassesCentre.of`.

    Args:
        recipe: says what a class is.
        annotated: as for `recipe_table`.
    """
    table, centre = recipe_table(recipe, annotated), recipe.sampling.where
    by_label = isinstance(centre, ClassesCentre) and centre.of == "labels"
    return np.where(table > 0, np.arange(256), 0).astype(np.uint8) if by_label else table


def kept_type(recipe: Recipe) -> type[np.floating]:
    """Type in which network input is kept in memory."""
    return np.float32 if recipe.values_limits is None else np.float16


class CaseStore:
    """Cases on a recipe's grid, loaded at first use; safe to use from several threads.

    Args:
        cases: where they lie.
        recipe: says the grid, the intensity and the channels.
        cache_mb: memory for them, MiB.
        cache_folder: where resampled cases are kept for later runs, too; None for nowhere.
        notes: takes what readers find odd about files.

    Raises:
        DataError: a prepared store is of another grid.
        WriteError: the cache folder cannot be made.
    """

    def __init__(
        self,
        cases: Sequence[CaseFiles],
        recipe: Recipe,
        cache_mb: float,
        cache_folder: Path | None = None,
        notes: ReadWarnings | None = None,
    ) -> None:
        self.cases = tuple(cases)
        self._recipe = recipe
        self._notes = notes
        for folder in sorted({files.prepared for files in cases if files.prepared is not None}):
            refuse_other_grid_of_store(folder, recipe)
        self._free = cache_mb * MIB
        self._folder = cache_folder
        if cache_folder is not None:
            with writing(cache_folder):
                cache_folder.mkdir(parents=True, exist_ok=True)
            sweep(cache_folder)
        self._kept: dict[int, GridCase] = {}
        self._lock = threading.Lock()
        self._reading = tuple(threading.Lock() for _ in self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def load(self, index: int) -> GridCase:
        """Case `index` on the grid.

        Raises:
            DataError: its files cannot be read, do not fit each other, or hold an id that the label set
                lacks.
            WriteError: the cache cannot be written.
        """
        kept = self._kept_case(index)
        if kept is not None:
            return kept
        # Threads that want the same case at the same time wait for the one that reads it.
        with self._reading[index]:
            kept = self._kept_case(index)
            if kept is not None:
                return kept
            case = self._read(self.cases[index])
            with self._lock:
                if case.nbytes <= self._free:
                    self._kept[index] = case
                    self._free -= case.nbytes
        return case

    def _kept_case(self, index: int) -> GridCase | None:
        with self._lock:
            return self._kept.get(index)

    def _read(self, files: CaseFiles) -> GridCase:
        if files.prepared is not None:
            return self._read_prepared(files, files.prepared)
        image, ids = self._arrays(files)
        annotated = annotated_channels(self._recipe, files.annotated)
        channels = recipe_table(self._recipe, annotated)[ids]
        classes = class_table(self._recipe, annotated)[ids]
        # Seeded by the name: the points do not depend on the order in which cases are loaded.
        points = class_points(classes, generator_of_name(files.name))
        return GridCase(name=files.name, image=image, channels=channels, points=points, annotated=annotated)

    def _read_prepared(self, files: CaseFiles, folder: Path) -> GridCase:
        """A case of a store: in memory if there is room, else on disk."""
        record = read_record(folder, files.name)
        if record is None:
            path = case_path(folder, files.name, "json")
            raise DataError(f"{path}: is damaged; delete it and run prepare again")
        foreign = self._recipe.labels.foreign(map(int, record.voxels))
        if foreign:
            raise DataError(
                f"{files.labels}: holds id {foreign[0]}, unknown to label set {self._recipe.labels.name}; "
                "give the run the label set that the data were prepared with, as with --set label_set=data"
            )
        grid, annotated = stored_grid(self._recipe), annotated_channels(self._recipe, files.annotated)
        table = recipe_table(self._recipe, annotated)
        on_disk = OnDisk(case_path(folder, files.name, "image.b2nd"))
        image = StoredImage(
            values=on_disk,
            intensities=tuple(channel.intensity for channel in self._recipe.case_inputs),
            statistics=record.statistics,
        )
        if grid.values == "input":
            image = replace(image, intensities=None)
        ids = OnDisk(files.labels)
        labels = StoredLabels(ids=ids, table=table)
        case = GridCase(
            name=files.name,
            image=image,
            channels=labels,
            points=points_of_classes(folder, files.name, record.voxels, class_table(self._recipe, annotated)),
            annotated=annotated,
        )
        wanted = case.nbytes + on_disk.whole_nbytes + ids.whole_nbytes
        with self._lock:
            if wanted > self._free:
                return case
        return replace(case, image=replace(image, values=on_disk[:]), channels=replace(labels, ids=ids[:]))

    def _arrays(self, files: CaseFiles) -> tuple[NDArray[np.floating], U8]:
        if self._folder is None:
            return self._resampled(files)
        path = self._folder / f"{files.name}-{self._key(files)}.npz"
        if path.is_file():
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    return stored["image"], stored["ids"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                logger.warning("%s: is damaged; made again", path)
        image, ids = self._resampled(files)
        try:
            with whole_file(path) as stream:
                np.savez(stream, image=image, ids=ids)
        except OutputError as error:
            raise WriteError(str(error)) from error
        return image, ids

    def _resampled(self, files: CaseFiles) -> tuple[NDArray[np.floating], U8]:
        image, ids = read_on_grid(files.images, files.labels, self._recipe, self._notes)
        return image.astype(kept_type(self._recipe), copy=False), ids

    def _key(self, files: CaseFiles) -> str:
        """Changes with everything that the arrays depend on."""
        recipe = self._recipe
        parts = (recipe.labels, recipe.case_inputs, recipe.resampling)
        depends = [recipe.spacing_zyx_mm, recipe.normalize, *map(dump, parts)]
        stamps = [
            (path.stat().st_size, path.stat().st_mtime_ns, str(path.resolve()))
            for place in (*files.images, files.labels)
            for path in files_of(place)
        ]
        return hashlib.sha256(json.dumps([depends, stamps]).encode()).hexdigest()[:16]
