"""By what the data of a run are known again when it goes on."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.data.file_lists import with_data_beside
from training.data.folders import CaseFiles
from training.data.prepared import read_record
from training.data.quick_hash import files_sha256
from training.training_errors import DataError


def data_hash(cases: Iterable[CaseFiles]) -> str:
    """What tells cases' images, labels and annotations from others under the same names.

    Returns:
        "files" or "prepared" and a SHA-256, e.g. `files 1f3a…`: over what each case annotates and either
        names, sizes and both ends of its files, or what a store says of the files that it was prepared from.

    Raises:
        DataError: a prepared case is damaged.
    """
    held = list(cases)
    found = hashlib.sha256()
    for case in held:
        said = (case.name, case.annotated, case.given, _sources(case) or files_sha256(_files(case)))
        found.update(f"{json.dumps(said)}\n".encode())
    form = "prepared" if any(case.prepared for case in held) else "files"
    return f"{form} {found.hexdigest()}"


def are_other_data(one: str | None, other: str | None) -> bool:
    """Whether two of these hashes say that data differ: of one form, and not the same.

    Data and the store that was prepared of them have different ones; None is that of an older run.
    """
    if one is None or other is None:
        return False
    return one != other and one.split()[0] == other.split()[0]


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
