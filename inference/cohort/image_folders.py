"""Folders with images, however deep in a folder: what `predict.py`, which looks less deep, must tell of."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from os.path import realpath
from pathlib import Path

from inference.imaging.formats.dicom_folder import holds_series, starts_in
from inference.imaging.reading import image_suffix

DEEPEST = 8
"""Levels below the folder that are looked at: exports of archives have patient, study and series."""
MOST_ENTRIES = 20_000
"""Files and folders below it that are looked at: some tenths of a second."""


def folders_with_images(source: Path, taken: Set[Path], output: Path | None) -> list[Path]:
    """Folders below `source` that hold images of no case, by name, as far as they are looked for.

    What is nearest is looked at first, cases' folders last: a large one must not hide what lies beside it.

    Args:
        source: a folder.
        taken: files and folders that make cases, without links in their paths. The files of such a folder
            are the case's, as are those of the folders in it.
        output: of results, which may lie in the source.
    """
    return sorted(_found(source, taken, output))


def _found(source: Path, taken: Set[Path], output: Path | None) -> Iterator[Path]:
    # A link to itself has no `resolve()`.
    seen, entries = {Path(realpath(output))} if output else set(), 0
    waiting, in_cases = deque([source]), deque[Path]()
    while waiting or in_cases:
        is_known = not waiting
        folder = waiting.popleft() if waiting else in_cases.popleft()
        real = Path(realpath(folder))
        if real in seen:
            continue
        seen.add(real)
        # The source was read when cases were looked for, however large it is.
        most = MOST_ENTRIES - entries if folder != source else sys.maxsize
        held = _look_into(folder, most, sniffs=folder != source and not is_known)
        entries += held.count if folder != source else 0
        if held.has_image and folder != source and not is_known:
            yield folder
        if entries >= MOST_ENTRIES:
            return
        if len(folder.relative_to(source).parts) < DEEPEST:
            for inner in held.folders:
                is_of_case = real in taken or Path(realpath(inner)) in taken
                (in_cases if is_of_case else waiting).append(inner)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What a folder holds."""

    folders: Sequence[Path] = ()
    """By name."""
    has_image: bool = False
    count: int = 0
    """Files and folders that were looked at."""


def _look_into(folder: Path, most: int, *, sniffs: bool) -> _Held:
    """Look at the first `most` entries of a folder; hidden ones are not seen.

    What cannot be looked into keeps nobody from the cases.
    """
    try:
        with os.scandir(folder) as listing:
            entries = list(islice(listing, most))
    except OSError:
        return _Held()
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    folders = sorted(folder / entry.name for entry in shown if _is(entry.is_dir))
    files = [entry.name for entry in shown if _is(entry.is_file)]
    has_image = any(map(_is_image_by_name, files)) or (
        sniffs and holds_series(files, starts_in(folder), images_only=True)
    )
    return _Held(folders=folders, has_image=has_image, count=len(entries))


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; a link to itself is of none."""
    try:
        return kind()
    except OSError:
        return False


def _is_image_by_name(name: str) -> bool:
    return bool(image_suffix(name)) or name.lower().endswith(".dcm")
