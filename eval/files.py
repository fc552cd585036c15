"""Names of cases, and result files: written whole or not at all, and never over another one unless asked."""

import csv
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.eval_errors import JudgingError
from model.case_names import as_cell, from_cell, split_channel

SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Endings of the files that hold whole images and label maps; in capitals too, as `predict.py` reads them.

The first is that of its results. Headers whose voxels lie in a file of their own (`.mhd`, `.nhdr`) are no
cases of a folder."""
ANY_SUFFIX = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
"""The same for messages."""
NIFTI = SUFFIXES[:2]


def is_image_name(name: str) -> bool:
    """Whether a file is called like an image or label map, and not hidden.

    >>> [is_image_name(name) for name in ("A.nii", "A.NII.GZ", "A.nii.txt", ".A.nii")]
    [True, True, False, False]
    """
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def stem_of(name: str) -> str:
    """Name of a file, or of a row of a table, without the ending of an image: the case of a label map.

    >>> [stem_of(name) for name in ("A_0000.nii.gz", "A.NRRD", "A")]
    ['A_0000', 'A', 'A']
    """
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def case_of(name: str) -> str:
    """Name of the case that an image belongs to.

    Only the number of a first channel is taken off: cases of the FLARE challenges end in numbers themselves.

    >>> [case_of(name) for name in ("A_0001_0000.nii.gz", "A_0001.nii.gz", "A_0001")]
    ['A_0001', 'A_0001', 'A_0001']
    """
    stem = stem_of(name)
    case, channel = split_channel(stem)
    return case if channel == 0 else stem


def case_among(name: str, cases: Container[str]) -> str | None:
    """Which of some cases a file or row belongs to, whether it is named like the label map or like the image.

    A label map `A_0000.nii.gz` is the case `A_0000` and never a label map of `A`; only where there is no such
    case, the name is taken for that of an image.

    >>> [case_among("A_0000.nii.gz", cases) for cases in ({"A"}, {"A", "A_0000"}, {"B"})]
    ['A', 'A_0000', None]
    """
    return next((case for case in (stem_of(name), case_of(name)) if case in cases), None)


def check_is_folder(folder: Path, files: str) -> None:
    """Refuse what is no folder.

    Args:
        folder: that is read.
        files: what it holds, as a user calls it.

    Raises:
        JudgingError: there is no such folder, or it is a file.
    """
    if folder.is_dir():
        return
    if folder.exists():
        raise JudgingError(f"{folder}: is a file; give the folder that holds it")
    raise JudgingError(f"{folder}: no such folder; give one that holds {files}")


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images and label maps in a folder and in those below it, by name and in its order; none is hidden.

    Returns:
        Place in the folder without the ending to path: `p1/s1/ct` for `FOLDER/p1/s1/ct.nii.gz`, as cohorts
        name their cases.

    Raises:
        JudgingError: there is no such folder, or it is a file.
    """
    check_is_folder(folder, "images or label maps")
    places = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if is_image_name(path.name) and path.is_file()
    }
    hidden = re.compile(r"(^|/)\.")
    return {stem_of(place): path for place, path in places.items() if not hidden.search(place)}


def check_writable(paths: Sequence[Path], force: bool) -> None:
    """Refuse output paths that cannot be written, before any work is done.

    Raises:
        JudgingError: a file exists and `force` is not set, a folder stands in its place, or its folder does
            not exist.
    """
    for path in paths:
        if path.is_dir():
            raise JudgingError(f"{path}: is a folder, give the name of a file")
        if path.exists() and not force:
            raise JudgingError(f"{path}: exists already; choose another name or add --force to replace it")
        if not path.parent.is_dir():
            raise JudgingError(f"{path.parent}: no such folder; create it first")
        if not os.access(path.parent, os.W_OK):
            raise JudgingError(f"{path.parent}: cannot be written to; choose another folder")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` to write to.

    When the block ends without an exception, the file replaces `path`; otherwise it is removed.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table; a value that a row lacks becomes an empty cell, and no cell is a formula.

    Bytes of a file's name that are no UTF-8 are spelled out: a table is UTF-8, whatever names it holds.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: as_cell(value) for column, value in row.items()} for row in rows)


def write_json(path: Path, document: Mapping[str, Any], *, indent: int = 1) -> None:
    """Write a document; a file's name that is no UTF-8 comes back as it was, through JSON's own escapes."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows of a table.

    A byte-order mark, with which spreadsheets begin a table, is no part of the first name.

    Raises:
        JudgingError: there is no such file, it is no CSV table, its cells are separated by semicolons, or a
            row has more or fewer cells than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, cells = list(reader.fieldnames or []), list(reader)
    except FileNotFoundError as error:
        raise JudgingError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JudgingError(f"{path}: cannot be read as a CSV table ({error})") from error
    if len(columns) == 1 and ";" in columns[0]:
        raise JudgingError(
            f"{path}: its cells are separated by semicolons; save it with commas between cells, and points "
            "in numbers"
        )
    if any(None in row or None in row.values() for row in cells):
        raise JudgingError(f"{path}: has rows longer or shorter than its header; is it a complete CSV table?")
    return columns, [{column: from_cell(cell) for column, cell in row.items()} for row in cells]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
