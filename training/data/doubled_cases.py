"""Cases that come twice: under one name in two data sets, or with the same images on both sides."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.file_lists import files_of
from training.data.folders import CaseFiles
from training.data.prepared import read_record
from training.data.quick_hash import files_sha256
from training.training_errors import DataError


def refuse_common_names(folders: Sequence[Path], cases: Sequence[CaseFiles]) -> None:
    """Nothing if each name stands for one case, as it must where cases are held out by their names.

    Args:
        folders: data sets.
        cases: all cases of these.

    Raises:
        DataError: a name stands for two.
    """
    twice = sorted(name for name, count in Counter(case.name for case in cases).items() if count > 1)
    if twice:
        raise DataError(f"{folders[-1]}: case {twice[0]} is in two data sets; rename one of them")


def refuse_common_images(cases: Sequence[CaseFiles], held_out: Sequence[CaseFiles]) -> None:
    """Nothing if no case is validated on with images that another one, or itself, is trained on with.

    Names do not count: two data sets may both have a case_0001, of two patients (every folder of phantoms
    has the same names), and one patient may have other names in each. Nor do labels: those of two patients
    may be the same, where they hold nothing, and the labels of one patient differ from round to round.

    Args:
        cases: trained on.
        held_out: validated on.

    Raises:
        DataError: images are the same file, or the same byte for byte; or a prepared case is damaged.
    """
    if not held_out:
        return
    trained: dict[tuple[str, ...], list[CaseFiles]] = {}
    for case in cases:
        for mark in _marks(case):
            trained.setdefault(mark, []).append(case)
    for case in held_out:
        others = [other for mark in _marks(case) for other in trained.get(mark, ())]
        same = next((other for other in others if _are_the_same(case, other)), None)
        if same is not None:
            raise DataError(
                f"{_shown(case)}: is validated on, and trained on as {_shown(same)}; leave one of them out"
            )


def _marks(case: CaseFiles) -> Iterator[tuple[str, ...]]:
    """What cases of the same images have in common: the places of these, and a hash of their content.

    The hash of a store is of another kind than that of files, which are not read whole: a case and a store
    that was prepared of a copy of it elsewhere have nothing in common.
    """
    if case.prepared is None:
        files = _image_files(case)
        yield ("at", *(str(path.resolve()) for path in case.images))
        yield "ends", files_sha256((str(number), path) for number, path in enumerate(files))
        return
    record = read_record(case.prepared, case.name)
    if record is None:
        raise DataError(f"{case.labels}: its case is damaged; run prepare again")
    sources = record.sources[:-1]  # The last one is the label map.
    yield ("at", *(source.path for source in sources))
    yield ("whole", *(source.sha256 for source in sources))


def _are_the_same(one: CaseFiles, other: CaseFiles) -> bool:
    """Whether two cases that have a mark in common have the same images, and not just the same ends.

    Uncompressed images may begin and end in air.
    """
    if one.prepared is not None or other.prepared is not None:
        return True
    pairs = zip(_image_files(one), _image_files(other), strict=True)
    return all(filecmp.cmp(a, b, shallow=False) for a, b in pairs)


def _image_files(case: CaseFiles) -> list[Path]:
    return [file for path in case.images for file in files_of(path)]


def _shown(case: CaseFiles) -> Path:
    return case.images[0] if case.images else case.labels
