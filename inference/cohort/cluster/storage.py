"""Folders on local disks and behind URLs, in one form.

fsspec knows the protocols (`s3://`, `gs://`, `abfs://`, `sftp://` …); each needs a package of its own, which
its error names. Only the workers move voxels: from storage to a scratch folder and back.
"""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from inference.errors import InputError, UsageError, one_line, reason
from inference.imaging.formats.dicom_folder import START_BYTES, StartOf
from inference.imaging.reading import DETACHED, image_suffix
from inference.imaging.writing import whole_file
from leanseg.atomic_files import TEMPORARY

FAILURES = (OSError, RuntimeError, ValueError, ImportError)
"""What file systems raise where something is not there, refused or unreachable."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or a folder in a folder."""

    name: str
    size_bytes: int
    is_folder: bool


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A folder and how it is reached."""

    files: Any
    """An `fsspec.AbstractFileSystem`."""
    root: str
    """Its path there, without protocol and final slash."""

    @property
    def is_local(self) -> bool:
        """Whether its files can be opened as they stand."""
        return isinstance(self.files, LocalFileSystem)

    def at(self, name: str) -> str:
        """The path of what lies in it under a relative name."""
        return f"{self.root}/{name}" if name else self.root

    def location(self, name: str) -> str:
        """The local path or the URL of what lies in it, as a worker elsewhere is told of it."""
        path = self.at(name)
        return path if self.is_local else str(self.files.unstrip_protocol(path))

    def walk(self) -> Iterator[tuple[str, list[Entry]]]:
        """Every folder in it by its relative name, "" for itself, with what it holds, both by name.

        Hidden files and folders are left out. A link that leads back to a folder above it is not followed.
        """
        pending = [""]
        while pending:
            folder = pending.pop()
            entries = sorted(self.entries(folder), key=lambda entry: entry.name)
            yield folder, entries
            inner = [f"{folder}/{entry.name}".lstrip("/") for entry in entries if entry.is_folder]
            pending += [name for name in reversed(inner) if not self._leads_back(name)]

    def entries(self, folder: str) -> Iterator[Entry]:
        """What a folder in it holds, by the folder's relative name, but for hidden files.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        for info in self.files.ls(self.at(folder), detail=True):
            path = str(info["name"]).rstrip("/")
            name = path.rpartition("/")[2]
            # Some object stores list a folder itself as an empty file in it.
            if not name or name.startswith(".") or path == self.at(folder):
                continue
            is_folder = Path(path).is_dir() if info.get("islink") else info["type"] == "directory"
            yield Entry(name=name, size_bytes=info.get("size") or 0, is_folder=is_folder)

    def _leads_back(self, name: str) -> bool:
        if not self.is_local or not Path(self.at(name)).is_symlink():
            return False
        path = Path(self.at(name))
        return path.resolve() in [parent.resolve() for parent in path.parents]

    def starts_in(self, folder: str) -> StartOf:
        """Reads how the files of a folder in it begin, each once; the folder by its relative name."""

        @cache
        def start_of(name: str) -> bytes:
            path = self.at(f"{folder}/{name}" if folder else name)
            try:
                return bytes(self.files.cat_file(path, start=0, end=START_BYTES))
            except FAILURES:
                return b""

        return start_of

    def read_text(self, name: str) -> str:
        """A text file.

        Raises:
            OSError: it cannot be read.
        """
        return str(self.files.cat_file(self.at(name)).decode())

    def write(self, name: str, content: bytes) -> None:
        """A file, whole or not at all.

        Raises:
            OutputError: a local file cannot be written.
            OSError: another cannot.
        """
        path = self.at(name)
        if self.is_local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(Path(path)) as file:
                file.write(content)
        else:
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.files.pipe_file(path, content)

    def put(self, local: Path, name: str) -> None:
        """Bring a local file into it; it appears under its name when it is complete.

        Raises:
            OutputError: a local file cannot be written.
            OSError: another cannot.
        """
        path = self.at(name)
        if self.is_local:
            with local.open("rb") as source, whole_file(Path(path)) as file:
                shutil.copyfileobj(source, file)
            return
        folder = path.rpartition("/")[0]
        unfinished = f"{folder}/{TEMPORARY}{secrets.token_hex(8)}.tmp"
        self.files.makedirs(folder, exist_ok=True)
        self.files.put_file(str(local), unfinished)
        self.files.mv(unfinished, path)

    def names(self) -> set[str]:
        """The relative names of all files in it, hidden ones too; empty where it is not there."""
        try:
            found = self.files.find(self.root)
        except FileNotFoundError:
            return set()
        return {str(path)[len(self.root) + 1 :] for path in found}


def open_storage(location: str) -> Storage:
    """The folder at a local path or a URL; whether it is there is not asked.

    Raises:
        UsageError: the protocol is not known, or its package is not installed.
    """
    try:
        files, path = fsspec.url_to_fs(location)
    except FAILURES as error:
        raise UsageError(f"{location}: cannot be reached ({one_line(error)})") from error
    return Storage(files=files, root=str(path).rstrip("/"))


def fetch(location: str, scratch: Path) -> Path:
    """A local path of an image: its own, or that of a copy in a scratch folder.

    Raises:
        InputError: it is not there, or may not be read.
        OSError: the storage failed, which it may not do another time.
    """
    storage = open_storage(location)
    if storage.is_local:
        return Path(storage.root)
    name = storage.root.rpartition("/")[2]
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        if storage.files.isdir(storage.root):
            _copy(
                storage, [entry.name for entry in storage.entries("") if not entry.is_folder], scratch / name
            )
        elif image_suffix(name).lower() in DETACHED:
            stem = name.removesuffix(image_suffix(name))
            beside = open_storage(location.rpartition("/")[0])
            _copy(
                beside, [entry.name for entry in beside.entries("") if entry.name.startswith(stem)], scratch
            )
        else:
            storage.files.get_file(storage.root, str(scratch / name))
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{location}: cannot be read ({reason(error)})") from error
    return scratch / name


def _copy(storage: Storage, names: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        storage.files.get_file(storage.at(name), str(folder / name))
