"""The split of a data set of copies: those of one case belong to one fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.data.folders import labelled_cases
from training.data_place import SPLITS
from training.folds.fold_splits import USUAL_FOLDS, find_split
from training.whole_files import write_json


def write_split_of_copies(data: Path, output: Path, copies: Mapping[str, Sequence[str]], seed: int) -> None:
    """Write `splits_final.json` beside copies: the folds of the data that they were made of, or drawn ones.

    Nothing is written for fewer than five cases, or where fewer than two folds have copies.

    Args:
        data: what they are copies of.
        output: their folder.
        copies: case to the names of its copies.
        seed: of a split that is drawn.

    Raises:
        DataError: the data state a split that does not fit their cases.
    """
    cases = labelled_cases(data)
    if sum(case.is_judged for case in cases) < USUAL_FOLDS:
        return
    split = find_split([data], cases, None, seed)
    folds = [[name for case in fold for name in copies.get(case, ())] for fold in split.held_out]
    folds = [fold for fold in folds if fold]
    if len(folds) < 2:
        return
    names = sorted(name for of_case in copies.values() for name in of_case)
    write_json(
        output / SPLITS,
        [{"train": [name for name in names if name not in set(fold)], "val": sorted(fold)} for fold in folds],
    )
