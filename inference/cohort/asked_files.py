"""Files that a run writes where the user says: they take the place of none but files of their own kind."""

from dataclasses import dataclass
from os.path import realpath
from pathlib import Path

from inference.errors import OutputError, UsageError, reason
from inference.imaging.writing import try_folder

LOOKED_AT_BYTES = 1024
"""Of a file that is there, to tell whether it is of the kind."""


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A kind of file that LeanSeg writes, and how an earlier one is known."""

    suffix: str
    """How its name ends, in small letters."""
    beginnings: tuple[bytes, ...]
    """What one of them begins with, white space left out."""


RUN_REPORT = FileKind(suffix=".json", beginnings=(b'{"bundle":{"name":',))
COHORT_PAGE = FileKind(suffix=".html", beginnings=(b"<!doctypehtml><metacharset=utf-8><title>Cohort",))
ORGANS_CSV = FileKind(suffix=".csv", beginnings=(b"case,organ,label,volume_ml,",))
ORGANS_JSON = FileKind(suffix=".json", beginnings=(b'{"cases":[{"case":', b'{"cases":[]'))


def check_asked_file(
    path: Path, kind: FileKind, option: str = "--report", output: Path | None = None
) -> None:
    """Make sure that a file can be written, and is nobody else's, before there is anything to write.

    Args:
        path: the file; one that is there and empty may be replaced too.
        kind: what is written.
        option: what the user named it by.
        output: the folder of results, which need not be there yet: it is made before the file.

    Raises:
        UsageError: it is named as another kind of file, or is there and of another kind.
        OutputError: it cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give a file with {option}")
    if path.suffix.lower() != kind.suffix:
        raise UsageError(f"{path}: must end in {kind.suffix}; give another name with {option}")
    if not path.parent.exists() and output is not None and realpath(path.parent) == realpath(output):
        return
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; make it or give another file with {option}")
    try:
        own = _is_own(path, kind)
        try_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({reason(error)}); give another file with {option}"
        ) from error
    if not own:
        raise UsageError(
            f"{path}: is there and not from {option}; move it or give another file with {option}"
        )


def _is_own(path: Path, kind: FileKind) -> bool:
    """Whether a file may be replaced: there is none, it is empty, or an earlier one of its kind.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return True
    with path.open("rb") as file:
        start = b"".join(file.read(LOOKED_AT_BYTES).split())
    return not start or start.startswith(kind.beginnings)
