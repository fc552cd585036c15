"""Which cases are held out: by each fold, as the data say or drawn by a seed, or by a single run.

| where a split is stated | how |
|---|---|
| `splits_final.json` beside the data, or the file given | nnU-Net: `[{"train": […], "val": […]}, …]` |
| the data's datalist, or the one given | MONAI: `"fold": 0` … in every entry of `training` |
| nowhere | cases in an order drawn by the seed, dealt out to the folds in turn |

Where a datalist is given as the data, the folds in its entries go before a file beside it.

Cases that hold nothing but pseudo-labels are not dealt out: no network can be judged on them, and all folds
train on them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.doubled_cases import refuse_common_names
from training.data.folders import find_cases
from training.data.found_cases import CaseFiles
from training.data_place import SPLITS, folder_of
from training.random_streams import Stream
from training.training_errors import DataError, NoDataError
from training.whole_files import read_json

USUAL_FOLDS = 5
BY_SEED = "seed"
"""Given instead of a file: whatever the data say, the seed decides."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The folds of a data set."""

    held_out: tuple[tuple[str, ...], ...]
    """Names of the cases that each fold holds out, in order; none is held out twice. A case that none holds
    out is trained on in all."""
    origin: str
    """Where the split comes from, in words."""


def find_split(
    folders: Sequence[Path],
    cases: Sequence[CaseFiles],
    folds: int | None,
    seed: int,
    splits: str | None = None,
) -> Split:
    """The split that the data, or a file, state; else one drawn by a seed.

    Args:
        folders: data-set folders, or datalists.
        cases: all cases of these.
        folds: how many are wanted; None: as many as are stated, else 5.
        seed: of a split that is drawn.
        splits: file that states the split; `seed`: what the data state does not count.

    Raises:
        DataError: a name stands for two cases, the split does not fit the cases, or is not of so many folds.
    """
    refuse_common_names(folders, cases)
    names = [case.name for case in cases]
    split = None
    if splits != BY_SEED:
        split = _stated_in(Path(splits), names) if splits is not None else _stated(folders, cases)
    if split is None:
        judged = [case.name for case in cases if case.is_judged]
        return Split(
            held_out=drawn_folds(judged, folds or USUAL_FOLDS, seed), origin=f"drawn with seed {seed}"
        )
    if folds is not None and folds != len(split.held_out):
        raise DataError(
            f"{split.origin}: states {len(split.held_out)} folds, --folds asks for {folds}; leave out "
            f"--folds, or draw a split of your own with --splits {BY_SEED}"
        )
    return split


def drawn_folds(names: Sequence[str], folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Cases dealt out to folds in an order drawn by a seed; each fold's in the order of the names.

    Sizes differ by one at most. The order in which the names come does not matter.

    Raises:
        DataError: fewer cases than folds, or fewer than two folds.
    """
    if folds < 2:
        raise DataError(f"--folds: must be 2 or more, is {folds}")
    if len(names) < folds:
        raise DataError(f"{len(names)} case(s): too few for {folds} folds")
    ordered = sorted(names)
    order = np.random.default_rng((seed, Stream.FOLDS)).permutation(len(ordered))
    return tuple(tuple(ordered[index] for index in sorted(order[fold::folds])) for fold in range(folds))


def _stated(folders: Sequence[Path], cases: Sequence[CaseFiles]) -> Split | None:
    """What the data say by themselves."""
    in_entries = _from_fields(folders[0], cases) if folders[0].is_file() else None
    if in_entries is not None:
        return in_entries  # It is what was given; another file beside it may be of other cases.
    names = [case.name for case in cases]
    files = [folder_of(folder) / SPLITS for folder in folders if (folder_of(folder) / SPLITS).is_file()]
    if files:
        return _from_nnunet(files[0], names)
    return _from_fields(folders[0], cases)


def _stated_in(path: Path, names: Sequence[str]) -> Split:
    """What a file says: an nnU-Net split or a MONAI datalist."""
    if isinstance(_read(path), list):
        return _from_nnunet(path, names)
    split = _from_fields(path, find_cases(path).cases)
    if split is None:
        raise DataError(f'{path}: states no split (a list of "val" cases, or "fold" in every entry)')
    return _checked(split, path, names)


def _from_nnunet(path: Path, names: Sequence[str]) -> Split:
    document = _read(path)
    held_out = []
    for number, fold in enumerate(document if isinstance(document, list) else [document]):
        listed = fold.get("val") if isinstance(fold, Mapping) else None
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise DataError(f'{path}: fold {number} must read {{"train": [names], "val": [names]}}')
        rest = set(names) - set(listed)
        trained = fold.get("train")
        left_out = sorted(rest - set(map(str, trained))) if isinstance(trained, list) else []
        if left_out:
            raise DataError(
                f"{path}: fold {number} has case {left_out[0]} in neither train nor val; name it, or draw a "
                f"split with --splits {BY_SEED}"
            )
        held_out.append(tuple(sorted(listed)))
    return _checked(Split(held_out=tuple(held_out), origin=str(path)), path, names)


def _from_fields(path: Path, cases: Sequence[CaseFiles]) -> Split | None:
    """From the folds in a datalist's entries; None where no entry has one."""
    without = [case.name for case in cases if case.fold is None]
    if len(without) == len(cases):
        return None
    if without:
        raise DataError(
            f'{path}: case {without[0]} has no "fold", others have; give it one, or draw a split with '
            f"--splits {BY_SEED}"
        )
    folds = max(case.fold for case in cases if case.fold is not None) + 1
    held_out = tuple(tuple(case.name for case in cases if case.fold == fold) for fold in range(folds))
    return _checked(
        Split(held_out=held_out, origin=f"{path} (fold of each case)"), path, [case.name for case in cases]
    )


def _checked(split: Split, path: Path, names: Sequence[str]) -> Split:
    """Refuse a split that is not one of these cases.

    Raises:
        DataError: naming the first case or fold that does not fit.
    """
    held_out = [name for fold in split.held_out for name in fold]
    unknown = sorted(set(held_out) - set(names))
    twice = sorted(name for name, count in Counter(held_out).items() if count > 1)
    empty = [number for number, fold in enumerate(split.held_out) if not fold]
    for wrong, message in (
        (len(split.held_out) < 2, "states fewer than two folds"),
        (empty, f"fold {empty[0] if empty else ''} holds out no case"),
        (unknown, f"names case {unknown[0] if unknown else ''}, which is not in the data set"),
        (twice, f"holds out case {twice[0] if twice else ''} twice"),
    ):
        if wrong:
            raise DataError(f"{path}: {message}; correct it, or draw a split with --splits {BY_SEED}")
    return split


def _read(path: Path) -> object:
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise NoDataError(f"{path}: no such file; give one that states a split") from error
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as JSON ({said})") from error


def split_cases(
    cases: Sequence[CaseFiles], fraction: float, seed: int
) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    """Training and held-out cases; the share `fraction` is held out, at least one case unless it is 0.

    It is a share of the cases that networks can be judged on; those that hold nothing but pseudo-labels are
    all trained on. Where there are no others, none is held out.

    Raises:
        DataError: nothing would be left to train on.
    """
    judged = [index for index, case in enumerate(cases) if case.is_judged]
    held_out = max(1, round(fraction * len(judged))) if fraction > 0 and judged else 0
    if held_out >= len(cases):
        raise DataError(f"{len(cases)} case(s): too few to hold out {held_out} for validation")
    order = np.random.default_rng((seed, Stream.HELD_OUT)).permutation(len(judged))
    chosen = {judged[index] for index in order[:held_out]}
    kept = tuple(case for index, case in enumerate(cases) if index not in chosen)
    return kept, tuple(case for index, case in enumerate(cases) if index in chosen)


def read_names(path: Path) -> tuple[str, ...]:
    """Names of cases from a file that has one a line; blank lines do not count.

    Raises:
        DataError: it cannot be read, or names none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise NoDataError(f"{path}: no such file; give one with a name a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    names = tuple(line for line in lines if line.strip())
    if not names:
        raise DataError(f"{path}: names no case")
    return names


def named_apart(
    cases: Sequence[CaseFiles], path: Path
) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    """Training cases, and those that a file of names holds out.

    Raises:
        DataError: a name is not among the cases, or nothing would be left to train on.
    """
    names = set(read_names(path))
    unknown = sorted(names - {case.name for case in cases})
    if unknown:
        raise DataError(f"{path}: names case {unknown[0]}, which is not in the data set")
    kept = tuple(case for case in cases if case.name not in names)
    if not kept:
        raise DataError(f"{path}: names every case, so that none is left to train on")
    return kept, tuple(case for case in cases if case.name in names)
