"""A data-set folder in nnU-Net's layout, brought to the network's grid and kept in memory.

`imagesTr/CASE_0000.nii.gz` (HU), `labelsTr/CASE.nii.gz` (ids of the recipe's label set), `dataset.json`. Each
case is resampled and normalised at first use, by the functions that inference uses, and kept as half floats
as far as memory allows.
"""

import hashlib
import json
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.labels import Table, channel_table
from model.schema import dump
from training.augmentation.patches import GridCase, channel_points
from training.data.on_grid import read_on_grid
from training.recipes.recipe import INTERPOLATION, Recipe
from training.training_errors import DataError

IMAGE_SUFFIX = "_0000.nii.gz"
LABEL_SUFFIX = ".nii.gz"


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where one case lies."""

    name: str
    image: Path
    labels: Path


def labelled_cases(folder: Path) -> tuple[CaseFiles, ...]:
    """Cases of a data-set folder in the order of their names.

    Raises:
        DataError: the folder is no data set, holds no case, or an image has no labels.
    """
    images = folder / "imagesTr"
    if not images.is_dir():
        raise DataError(f"{folder}: no data set here (imagesTr is missing)")
    cases = []
    for image in sorted(images.glob(f"*{IMAGE_SUFFIX}")):
        name = image.name.removesuffix(IMAGE_SUFFIX)
        labels = folder / "labelsTr" / f"{name}{LABEL_SUFFIX}"
        if not labels.is_file():
            raise DataError(f"{labels}: missing, though the case has an image")
        cases.append(CaseFiles(name=name, image=image, labels=labels))
    if not cases:
        raise DataError(f"{images}: holds no *{IMAGE_SUFFIX}")
    return tuple(cases)


def split_cases(
    cases: Sequence[CaseFiles], fraction: float, seed: int
) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    """Training and held-out cases; the share `fraction` is held out, at least one case unless it is 0.

    Raises:
        DataError: nothing would be left to train on.
    """
    held_out = max(1, round(fraction * len(cases))) if fraction > 0 else 0
    if held_out >= len(cases):
        raise DataError(f"{len(cases)} case(s): too few to hold out {held_out} for validation")
    order = np.random.default_rng((seed, 0)).permutation(len(cases))
    chosen = set(order[:held_out].tolist())
    return tuple(c for i, c in enumerate(cases) if i not in chosen), tuple(
        c for i, c in enumerate(cases) if i in chosen
    )


def recipe_table(recipe: Recipe) -> Table:
    """Table from label id to the recipe's channel, (256,)."""
    if recipe.channels == "foreground":
        table = np.zeros(256, np.uint8)
        table[list(recipe.labels.ids.values())] = 1
        return table
    return channel_table(recipe.labels, recipe.channel_names)


class CaseStore:
    """Cases on a recipe's grid, loaded at first use; safe to use from several threads."""

    def __init__(
        self, cases: Sequence[CaseFiles], recipe: Recipe, cache_mb: float, cache_folder: Path | None = None
    ) -> None:
        self.cases = tuple(cases)
        self._recipe = recipe
        self._table = recipe_table(recipe)
        self._free = cache_mb * 2**20
        self._folder = cache_folder
        self._kept: dict[int, GridCase] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.cases)

    def load(self, index: int) -> GridCase:
        """Case `index` on the grid.

        Raises:
            DataError: its files cannot be read, do not fit each other, or hold an id that the label set
                lacks.
        """
        with self._lock:
            kept = self._kept.get(index)
        if kept is not None:
            return kept
        case = self._read(self.cases[index])
        with self._lock:
            if index not in self._kept and case.nbytes <= self._free:
                self._kept[index] = case
                self._free -= case.nbytes
        return case

    def _read(self, files: CaseFiles) -> GridCase:
        image, channels = self._arrays(files)
        # Seeded by the name: the points do not depend on the order in which cases are loaded.
        points = channel_points(channels, np.random.default_rng(zlib.crc32(files.name.encode())))
        return GridCase(name=files.name, image=image, channels=channels, points=points)

    def _arrays(self, files: CaseFiles) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        if self._folder is None:
            return self._resampled(files)
        path = self._folder / f"{files.name}-{self._key(files)}.npz"
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                return stored["image"], stored["channels"]
        image, channels = self._resampled(files)
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{threading.get_ident()}.partial")
        with partial.open("wb") as stream:
            np.savez(stream, image=image, channels=channels)
        partial.replace(path)
        return image, channels

    def _resampled(self, files: CaseFiles) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        image, labels = read_on_grid(files.image, files.labels, self._recipe)
        highest = int(labels.max(initial=0))
        if highest > self._recipe.labels.max_id:
            raise DataError(
                f"{files.labels}: holds id {highest}, label set {self._recipe.labels.name} ends at "
                f"{self._recipe.labels.max_id}"
            )
        return image.astype(np.float16), self._table[labels]

    def _key(self, files: CaseFiles) -> str:
        """Changes with everything that the arrays depend on."""
        recipe = self._recipe
        depends = [
            recipe.label_set,
            recipe.channels,
            recipe.spacing_zyx_mm,
            INTERPOLATION,
            dump(recipe.intensity),
        ]
        stamps = [
            (path.stat().st_size, path.stat().st_mtime_ns, str(path.resolve()))
            for path in (files.image, files.labels)
        ]
        return hashlib.sha256(json.dumps([depends, stamps]).encode()).hexdigest()[:16]
