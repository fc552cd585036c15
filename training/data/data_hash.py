"""By what the data of a run are known again when it goes on.

Annotations count and places do not, and a store stands for what it was prepared from:
`training.data.quick_hash` says which other hashes there are.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data.file_lists import with_data_beside
from training.data.found_cases import CaseFiles
from training.data.prepared import read_record
from training.data.quick_hash import files_sha256
from training.training_errors import DataError


@dataclass(frozen=True, kw_only=True)
class DataHash:
    """What tells the data of a run from others; as text, in files, `files 1f3a…`."""

    form: str
    """What it was taken of: `files`, or `prepared` cases of a store."""
    sha256: str
    """In hexadecimal."""

    def __str__(self) -> str:
        return f"{self.form} {self.sha256}"

    @classmethod
    def read(cls, text: str) -> "DataHash":
        """From its text."""
        form, _, sha256 = text.partition(" ")
        return cls(form=form, sha256=sha256)


def data_hash(cases: Iterable[CaseFiles]) -> DataHash:
    """What tells cases' images, labels and annotations from others under the same names.

    Returns:
        A SHA-256 over what each case annotates and either names, sizes and both ends of its files, or what a
        store says of the files that it was prepared from.

    Raises:
        DataError: a prepared case is damaged.
    """
    held = list(cases)
    found = hashlib.sha256()
    for case in held:
        said = (case.name, case.annotated, case.given, _sources(case) or files_sha256(_files(case)))
        found.update(f"{json.dumps(said)}\n".encode())
    form = "prepared" if any(case.prepared for case in held) else "files"
    return DataHash(form=form, sha256=found.hexdigest())


def are_other_data(one: str | None, other: str | None) -> bool:
    """Whether two of these hashes, as text, say that data differ: of one form, and not the same.

    Data and the store that was prepared of them have different ones; None is that of an older run.
    """
    if one is None or other is None:
        return False
    return one != other and DataHash.read(one).form == DataHash.read(other).form


def _files(case: CaseFiles) -> Iterator[tuple[str, Path]]:
    for path in (*case.images, case.labels):
        yield from ((one.name, one) for one in with_data_beside(path))


def _sources(case: CaseFiles) -> list[tuple[int, str]]:
    if case.prepared is None:
        return []
    record = read_record(case.prepared, case.name)
    if record is None:
        raise DataError(f"{case.labels}: its case is damaged; run prepare again")
    return [(source.bytes, source.sha256) for source in record.sources]
