"""Cases that come twice: under one name in two data sets, or with the same images on both sides."""

import filecmp
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.file_lists import files_of
from training.data.found_cases import CaseFiles
from training.data.prepared import Source, read_record
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


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A case on one side of a split, and what it consists of."""

    case: CaseFiles
    fold: int | None
    """The fold that holds it out; None: there is none."""
    files: tuple[Path, ...] = ()
    """Of its images; none of a prepared case."""
    sources: tuple[Source, ...] = ()
    """The images that a prepared case was made from."""


def refuse_common_images(
    cases: Sequence[CaseFiles], held_out: Sequence[CaseFiles], use: str = "validated on"
) -> None:
    """Nothing if no case is held out with images that another one, or itself, is trained on with.

    Names do not count: two data sets may both have a case_0001, of two patients (every folder of phantoms
    has the same names), and one patient may have other names in each. Nor do labels: those of two patients
    may be the same, where they hold nothing, and the labels of one patient differ from round to round.

    Args:
        cases: trained on.
        held_out: kept apart from these, if people annotated anything of them.
        use: what is done with them, for the message.

    Raises:
        DataError: images are the same file, or the same byte for byte; or a prepared case is damaged.
    """
    for one, same in _on_both_sides(cases, [held_out]):
        raise DataError(
            f"{_shown(one.case)}: is {use}, and trained on as {_shown(same.case)}; leave one of them out"
        )


def refuse_common_images_of_folds(cases: Sequence[CaseFiles], folds: Sequence[Sequence[CaseFiles]]) -> None:
    """The same for a cross-validation, each fold of which also trains on what the others hold out.

    Args:
        cases: that no fold holds out.
        folds: what each holds out.

    Raises:
        DataError: images are the same file, or the same byte for byte; or a prepared case is damaged.
    """
    for one, same in _on_both_sides(cases, folds):
        raise DataError(
            f"{_shown(one.case)}: is validated on in fold {one.fold}, and trained on as {_shown(same.case)}; "
            "leave one of them out"
        )


def _on_both_sides(
    cases: Sequence[CaseFiles], folds: Sequence[Sequence[CaseFiles]]
) -> Iterator[tuple[_Held, _Held]]:
    """Each case that a fold is judged by, with one of the same images that it does not hold out."""
    if not any(folds):
        return
    held = [_held(case, None) for case in cases]
    held += [_held(case, fold) for fold, some in enumerate(folds) for case in some]
    for group in _alike(held):
        for one in group:
            if one.fold is not None and one.case.is_judged:
                others = (other for other in group if other.fold != one.fold)
                yield from ((one, other) for other in others if _are_the_same(one, other))


def _held(case: CaseFiles, fold: int | None) -> _Held:
    if case.prepared is None:
        return _Held(case=case, fold=fold, files=tuple(f for path in case.images for f in files_of(path)))
    record = read_record(case.prepared, case.name)
    if record is None:
        raise DataError(f"{case.labels}: its case is damaged; run prepare again")
    return _Held(case=case, fold=fold, sources=record.sources[:-1])  # The last one is the label map.


def _alike(held: Sequence[_Held]) -> Iterator[list[_Held]]:
    """Cases whose images lie at one place, and those whose images have the same sizes and hash.

    Only what has the size of another is read.
    """
    yield from _grouped(held, _places)
    for group in _grouped(held, _sizes):
        yield from _grouped(group, _hashes)


def _grouped(held: Sequence[_Held], mark: Callable[[_Held], tuple[object, ...]]) -> Iterator[list[_Held]]:
    """The cases, two or more, that have each mark."""
    groups: dict[tuple[object, ...], list[_Held]] = {}
    for one in held:
        groups.setdefault(mark(one), []).append(one)
    return (group for group in groups.values() if len(group) > 1)


def _places(held: _Held) -> tuple[object, ...]:
    if held.sources:
        return tuple(source.path for source in held.sources)
    return tuple(str(path.resolve()) for path in held.case.images)


def _sizes(held: _Held) -> tuple[object, ...]:
    if held.sources:
        return ("store", *(source.bytes for source in held.sources))
    return ("files", *(path.stat().st_size for path in held.files))


def _hashes(held: _Held) -> tuple[object, ...]:
    """Of the whole of a store's sources, of the ends of files.

    So a case and a store that was prepared of a copy of it elsewhere have nothing in common.
    """
    if held.sources:
        return tuple(source.sha256 for source in held.sources)
    return (files_sha256((str(number), path) for number, path in enumerate(held.files)),)


def _are_the_same(one: _Held, other: _Held) -> bool:
    """Whether two cases of the same places or hashes have the same images, and not just the same ends.

    Uncompressed images may begin and end in air.
    """
    if one.sources or other.sources:
        return True
    return all(filecmp.cmp(a, b, shallow=False) for a, b in zip(one.files, other.files, strict=True))


def _shown(case: CaseFiles) -> Path:
    return case.images[0] if case.images else case.labels
