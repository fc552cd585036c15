"""Hashes that find what was exchanged or written anew among thousands of large files, in seconds.

There are several, since each answers another question, and each is kept in files of earlier releases:

| hash | of what | what it decides |
|---|---|---|
| `data_sha256`, here | images and label maps of cases | whether a fingerprint or a round is of these data |
| `folder_sha256`, here | any folder or file | whether one is still what it was |
| `training.data.data_hash` | cases with their annotations, or a store's sources | whether a run may go on |
| `training.data.input_hash` | all that a step of a plan will read | whether a finished step is out of date |
| `training.data.prepared.image_sha256` | every byte of an image | whether a prepared case is of this image |

All but the last rest on `files_sha256`, which reads the ends of files alone.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.data.file_lists import files_in, files_of, with_data_beside
from training.data.found_cases import CaseFiles
from training.training_errors import DataError

EDGE_BYTES = 65536
"""How much of each end of a file goes into a hash."""


def data_sha256(cases: Iterable[CaseFiles]) -> str:
    """SHA-256 over names and sizes of all files of cases and the first and last 64 KiB of each."""
    paths = (path for case in cases for path in (*case.images, case.labels))
    return files_sha256((one.name, one) for path in paths for one in with_data_beside(path))


def folder_sha256(folder: Path) -> str:
    """The same over all files of a folder, at any depth, by their paths in it; hidden ones do not count.

    A single file stands for itself.

    Raises:
        DataError: the folder holds no file, so that nothing would tell it from what it becomes.
    """
    if not folder.is_dir():
        return files_sha256([(folder.name, folder)])
    inside = files_in(folder)
    if not inside:
        raise DataError(f"{folder}: holds no file; give a folder that does")
    return files_sha256((path.relative_to(folder).as_posix(), path) for path in inside)


def files_sha256(files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 over names, sizes and both ends of files; a folder (of DICOM slices) is all that lies in it.

    Args:
        files: what each is called in the hash, and where it lies.
    """
    found = hashlib.sha256()
    for name, path in _expanded(files):
        size = path.stat().st_size
        found.update(f"{name} {size}\n".encode())
        with path.open("rb") as stream:
            found.update(stream.read(EDGE_BYTES))
            stream.seek(max(0, size - EDGE_BYTES))
            found.update(stream.read(EDGE_BYTES))
    return found.hexdigest()


def _expanded(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    for name, path in files:
        if path.is_dir():
            yield from ((f"{name}/{one.relative_to(path).as_posix()}", one) for one in files_of(path))
        else:
            yield name, path
