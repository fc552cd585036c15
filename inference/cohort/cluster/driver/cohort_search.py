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
from inference.errors import UsageError, reason
from inference.imaging.reading import FORMATS, image_suffix
from inference.imaging.writing import LABELS_SUFFIX

SNIFFED = 3
"""Files of no known name that are looked into to tell whether a folder holds DICOM."""
ASKED_AT_ONCE = 32
"""Sizes of files that are asked for at a time: behind URLs each takes a round trip."""


def find_tasks(location: str, channels: int) -> list[Task]:
    """The cases of a cohort, in the order of the table or of their names.

    Args:
        location: a folder or a table (`.csv`), as a path or a URL. A folder that directly holds DICOM files
            is one case; so is each image file, or each `CASE_0000`, `CASE_0001` … with several channels.
        channels: images that make a case.

    Raises:
        UsageError: it is not there, holds no image, or the table cannot be used.
    """
    storage = open_storage(location)
    try:
        if location.lower().endswith(".csv"):
            tasks = _with_sizes(list(_in_table(storage, location, channels)))
        elif storage.files.isdir(storage.root):
            tasks = [
                task
                for folder, held in storage.walk()
                for task in _in_folder(storage, folder, held, channels)
            ]
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


def _in_folder(storage: Storage, folder: str, held: Sequence[Entry], channels: int) -> Iterator[Task]:
    """The cases directly in a folder."""
    images = [entry for entry in held if not entry.is_folder and image_suffix(entry.name)]
    others = [entry for entry in held if not entry.is_folder and not image_suffix(entry.name)]
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
    # Of a series that was sorted by hand, any file may be another's: a few are looked into.
    is_series = any(storage.is_dicom(inside + entry.name) for entry in others[:SNIFFED])
    if is_series and any(entry.is_folder for entry in held):
        # A disc's directory, or a report, of what lies in the folders is no case of its own.
        is_series = any(storage.may_hold_image(inside + entry.name) for entry in others)
    if is_series:
        lacking = None if channels == 1 else f"{storage.location(folder)}: is one channel, of {channels}"
        yield Task(
            case=folder or storage.root.rpartition("/")[2],
            images=(storage.location(folder),),
            size_bytes=sum(entry.size_bytes for entry in others),
            problem=lacking,
        )


def _in_table(storage: Storage, location: str, channels: int) -> Iterator[Task]:
    """The cases of a table with the columns `case`, `image` and one for each further channel."""
    rows = csv.DictReader(io.StringIO(storage.read_text("")), skipinitialspace=True)
    columns = list(rows.fieldnames or ())
    missing = [name for name in ("case", "image") if name not in columns]
    if missing:
        raise UsageError(
            f"{location}: has no column {' and none '.join(missing)} (it has: {', '.join(columns) or 'none'})"
            "; give the columns case, image and one for each further channel"
        )
    further = [name for name in columns if name not in ("case", "image")][: channels - 1]
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
