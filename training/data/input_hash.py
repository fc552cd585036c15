"""By what the inputs of a plan are known again: the files that a step will read, wherever they lie.

Unlike the hash of a run's data it counts all that lies in a data set's folder, too, since a step may read it:
`training.data.quick_hash` says which other hashes there are.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from model.label_files import FILES
from training.data.annotations import ANNOTATED, GIVEN
from training.data.file_lists import files_in, files_of
from training.data.fingerprint import FINGERPRINT
from training.data.folders import find_cases
from training.data.quick_hash import files_sha256, folder_sha256
from training.data.unlabelled import unlabelled_cases
from training.data_place import SPLITS, folder_of
from training.training_errors import DataError

BESIDE = (*FILES, ANNOTATED, GIVEN, FINGERPRINT, SPLITS)
"""What is read beside a datalist."""


def input_sha256(path: Path, *, is_data: bool = False, is_images: bool = False) -> str:
    """SHA-256 over names, sizes and both ends of all files that are read of an input.

    A data set is its folder's own files, and those of its cases that lie elsewhere: behind links to folders,
    or where a datalist says. Other links to folders in it are no part of it. So a folder without links to
    folders has the hash that `folder_sha256` gives.

    Args:
        path: a folder, or a file.
        is_data: it is taken for a data set: a folder, a datalist or a prepared store.
        is_images: it is taken for a folder of images without labels.

    Raises:
        DataError: it is none, or holds no file.
    """
    if not is_data and not is_images:
        return folder_sha256(path)
    base = folder_of(path)
    own = files_in(path, follow=False) if path.is_dir() else [path]
    named = [(file.relative_to(base).as_posix(), file) for file in own]
    known = set(own)
    for name, file in [*(_of_data(path) if is_data else ()), *(_of_images(path) if is_images else ())]:
        # A datalist may write `../`, which a path keeps.
        if Path(os.path.normpath(file)) not in known and file not in known:
            named.append((name, file))
            known.add(file)
    if not named:
        raise DataError(f"{path}: holds no file; give a folder that does")
    return files_sha256(named)


def _of_data(path: Path) -> Iterator[tuple[str, Path]]:
    """The files of a data set's cases, named by these and not by where they lie, and what is said of them."""
    if not path.is_dir():
        beside = folder_of(path)
        yield from ((name, beside / name) for name in BESIDE if (beside / name).is_file())
    for case in find_cases(path).cases:
        if case.prepared is not None:
            stored = case.labels.parent
            yield from ((f"cases/{file.name}", file) for file in files_in(stored))
            return
        yield from _of_case(case.name, (*case.images, case.labels))


def _of_images(path: Path) -> Iterator[tuple[str, Path]]:
    for case in unlabelled_cases(path, 1):
        yield from _of_case(case.name, case.images)


def _of_case(name: str, paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for number, path in enumerate(paths):
        for file in files_of(path):
            where = file.relative_to(path).as_posix() if path.is_dir() else file.name
            yield f"{name}/{number}/{where}", file
