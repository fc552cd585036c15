"""Label sets as the commands' options name them, and the check of label maps against a label set."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from eval.eval_errors import JudgingError
from model.label_files import find_label_file, find_label_set
from model.labels import LABEL_SETS, LabelSet
from model.model_errors import LabelSetError

LABEL_SETS_HELP = (
    f"{', '.join(sorted(LABEL_SETS))}, or your own: a labels.json, nnU-Net's dataset.json, "
    "or a folder that holds one of them"
)
"""Help text of options that name a label set: the values that they take."""


def find_labels(name_or_path: str) -> LabelSet:
    """The label set that an option names: a built-in one, or one from a file or folder.

    Raises:
        JudgingError: there is none, its file is faulty, or it holds no structure.
    """
    try:
        labels = find_label_set(name_or_path)
        if not labels.ids:
            raise JudgingError(
                f"{find_label_file(name_or_path)}: states no structure beside the background; name at least "
                "one to judge"
            )
    except LabelSetError as error:
        raise JudgingError(str(error)) from error
    return labels


def in_words(labels: LabelSet) -> str:
    """What a label set holds, for readers who know no challenge by its name.

    >>> in_words(LABEL_SETS["flare23"])
    '13 abdominal organs and tumor (FLARE23)'
    >>> in_words(LabelSet(name="own", ids={"femur": 1}))
    '1 structure (OWN)'
    """
    kind = "abdominal organ" if LABEL_SETS.get(labels.name) == labels else "structure"
    count = len(labels.organs)
    organs = [f"{count} {kind}{'s' * (count != 1)}"] if count else []
    return f"{' and '.join([*organs, *labels.lesions])} ({labels.name.upper()})"


def foreign_label(held: Iterable[int], labels: LabelSet) -> str:
    """The complaint about a label map with a label that the set does not have; empty if all labels are known.

    >>> foreign_label([0, 4, 7], LabelSet(name="own", ids={"a": 1, "b": 2, "c": 4}))
    'holds label 7, own has 0 to 2, 4'

    Args:
        held: the labels that occur in the map, with or without background.
        labels: the set that it should follow.
    """
    foreign = labels.foreign(held)
    return (
        f"holds label {foreign[0]}, {labels.name} has {_ranges([0, *labels.ids.values()])}" if foreign else ""
    )


def check_labels(path: Path, held: Iterable[int], labels: LabelSet, remedy: str) -> None:
    """Refuse a label map with a label that the set does not have.

    Raises:
        JudgingError: there is such a label; the message ends with the remedy.
    """
    if wrong := foreign_label(held, labels):
        raise JudgingError(f"{path}: {wrong}; {remedy}")


def _ranges(ids: Iterable[int]) -> str:
    """Whole numbers in words: 0, 1, 2, 4 becomes `0 to 2, 4`."""
    parts = []
    for _, group in groupby(enumerate(sorted(ids)), key=lambda numbered: numbered[1] - numbered[0]):
        run = [number for _, number in group]
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}")
    return ", ".join(parts)
