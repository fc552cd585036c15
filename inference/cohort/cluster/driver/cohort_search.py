"""The cases of a cohort: a folder searched as deep as it goes, or a table that names them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from inference.cohort.cases import name_cases
from inference.cohort.cluster.fates import Task
from inference.cohort.cluster.storage import FAILURES, Entry, Storage, open_storage
from inference.cohort.unread_files import told_of_unread, unread
from inference.errors import UsageError, reason
from inference.imaging.formats.dicom_folder import StartOf, holds_series
from inference.imaging.reading import FORMATS, image_suffix
from inference.imaging.writing import LABELS_SUFFIX

SERIES = "series"
"""Column of a table."""
ASKED_AT_ONCE = 32
"""Sizes of files that are asked for at a time: behind URLs each takes a round trip."""


def find_tasks(location: str, channels: int, warn: Callable[[str], None]) -> list[Task]:
    """The cases of a cohort, in the order of the table or of their names.

    Args:
        location: a folder or a table (`.csv`), as a path or a URL. A folder that directly holds DICOM files
            is one case; so is each image file, or each `CASE_0000`, `CASE_0001` … with several channels.
        channels: images that make a case.
        warn: told where files in a folder are of no known format.

    Raises:
        UsageError: it is not there, holds no image, or the table cannot be used.
    """
    storage = open_storage(location)
    try:
        if location.lower().endswith(".csv"):
            tasks = _with_sizes(list(_in_table(storage, location, channels)))
        elif storage.files.isdir(storage.root):
            tasks, left_out = _in_folders(storage, channels)
            if told := told_of_unread(location, left_out):
                warn(told)
        else:
            kind = "is a file" if storage.files.exists(storage.root) else "no such folder"
            raise UsageError(f"{location}: {kind}; give a folder or a table (.csv) with --input")
    except FAILURES as error:
        raise UsageError(f"{location}: cannot be read ({reason(error)})") from error
    if not tasks:
        raise UsageError(f"{location}: holds no image; put in {FORMATS}")
    return _without_clashes(tasks)


def as_typed(location: str) -> Callable[[str], str]:
    """Gives the paths of a cohort's images in a message the form in which the user typed the cohort's.

    Workers may run in another folder, or on another machine, so they are told of whole paths.

    Args:
        location: as for `find_tasks`.
    """
    typed = location.rpartition("/")[0] if location.lower().endswith(".csv") else location.rstrip("/")
    storage = open_storage(typed or ".")
    if not storage.is_local or not storage.root:
        return str
    return lambda text: text.replace(f"{storage.root}/", f"{typed}/" if typed else "")


def _in_folders(storage: Storage, channels: int) -> tuple[list[Task], list[str]]:
    """The cases in a folder, however deep, and the files of no known format in folders that are no series."""
    tasks: list[Task] = []
    left_out: list[str] = []
    for folder, held in storage.walk():
        start_of = storage.starts_in(folder)
        tasks += _in_files(storage, folder, held, channels)
        series = _as_series(storage, folder, held, channels, start_of)
        if series is not None:
            tasks.append(series)
        else:
            files = [entry.name for entry in held if not entry.is_folder]
            left_out += [f"{folder}/{name}".lstrip("/") for name in unread(files, start_of)]
    return tasks, left_out


def _in_files(storage: Storage, folder: str, held: Sequence[Entry], channels: int) -> Iterator[Task]:
    """The cases that files directly in a folder are."""
    images = [entry for entry in held if not entry.is_folder and image_suffix(entry.name)]
    inside = f"{folder}/" if folder else ""
    sizes = {entry.name: entry.size_bytes for entry in images}
    for case in name_cases([Path(inside + entry.name) for entry in images], channels):
        names = [path.name for path in case.paths]
        yield Task(
            case=inside + case.output_name.removesuffix(LABELS_SUFFIX),
            images=tuple(storage.location(inside + name) for name in names),
            size_bytes=sum(sizes[name] for name in names),
            problem=case.problem,
        )


def _as_series(
    storage: Storage, folder: str, held: Sequence[Entry], channels: int, start_of: StartOf
) -> Task | None:
    """The case that a folder is, which directly holds DICOM files; None where it holds none."""
    files = [entry for entry in held if not entry.is_folder and not image_suffix(entry.name)]
    # A disc's directory, or a report, of what lies in the folders is no case of its own.
    images_only = any(entry.is_folder for entry in held)
    if not holds_series([file.name for file in files], start_of, images_only=images_only):
        return None
    return Task(
        case=folder or storage.root.rpartition("/")[2],
        images=(storage.location(folder),),
        size_bytes=sum(file.size_bytes for file in files),
        problem=None if channels == 1 else f"{storage.location(folder)}: is one channel, of {channels}",
    )


def _in_table(storage: Storage, location: str, channels: int) -> Iterator[Task]:
    """The cases of a table with the columns `case`, `image` and one for each further channel.

    A column `series` may name the one to take in a folder of several, by UID or number.
    """
    rows = csv.DictReader(io.StringIO(storage.read_text("")), skipinitialspace=True)
    columns = list(rows.fieldnames or ())
    missing = [name for name in ("case", "image") if name not in columns]
    if missing:
        raise UsageError(
            f"{location}: has no column {' and none '.join(missing)} (it has: {', '.join(columns) or 'none'})"
            "; give the columns case, image and one for each further channel"
        )
    further = [name for name in columns if name not in ("case", "image", SERIES)][: channels - 1]
    if len(further) + 1 < channels:
        raise UsageError(
            f"{location}: names {len(further) + 1} of {channels} channels; this bundle needs {channels - 1} "
            "more columns beside case and image"
        )
    base = location.rpartition("/")[0]
    for row in rows:
        name = (row["case"] or "").strip().strip("/")
        if not name or any(part in ("", ".", "..") or part.startswith(".") for part in name.split("/")):
            raise UsageError(
                f"{location}, line {rows.line_num}: {row['case']!r} cannot be a case's name; give one like "
                "patient_7/ct, without hidden parts"
            )
        images = [(row[column] or "").strip() for column in ("image", *further)]
        absent = next(
            (column for column, image in zip(("image", *further), images, strict=True) if not image), None
        )
        yield Task(
            case=name.removesuffix(LABELS_SUFFIX),
            images=tuple(_absolute(base, image) for image in images),
            series=(row.get(SERIES) or "").strip() or None,
            problem=None if absent is None else f"{name}: the table names no {absent}; add it",
        )


def _absolute(base: str, image: str) -> str:
    """An image's place; what is relative is relative to the table's folder."""
    if "://" in image or image.startswith("/"):
        return image
    if "://" in base:
        return f"{base}/{image}"
    return str((Path(base) / image).absolute())


def _with_sizes(tasks: Sequence[Task]) -> list[Task]:
    """The same with the sizes of their files; what cannot be asked for is told when it is read."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        sizes = pool.map(lambda task: sum(_size_bytes(image) for image in task.images if image), tasks)
        return [replace(task, size_bytes=size) for task, size in zip(tasks, sizes, strict=True)]


def _size_bytes(location: str) -> int:
    try:
        storage = open_storage(location)
        return int(storage.files.du(storage.root))
    except (*FAILURES, UsageError):
        return 0


def _without_clashes(tasks: Sequence[Task]) -> list[Task]:
    """The same, in which cases that would have one result have a problem."""
    taken = Counter(task.case for task in tasks)
    clash = "{}: another case has the name {} too; rename one of them"
    return [
        replace(task, problem=clash.format(task.images[0], task.case))
        if taken[task.case] > 1 and task.problem is None
        else task
        for task in tasks
    ]
