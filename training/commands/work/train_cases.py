"""Which cases `train` trains on, and which it validates on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.commands.train_call import TrainCall
from training.data.checking import Expected, checked_cases
from training.data.doubled_cases import refuse_common_images, refuse_common_names
from training.data.found_cases import CaseFiles
from training.data.label_agreement import doubts_of_lesions, place_of_labels
from training.data_place import SPLITS, document_of, folder_of
from training.folds.fold_splits import named_apart, split_cases
from training.recipes.recipe import Recipe
from training.training_errors import RecipeError
from training.whole_files import read_json

OTHER_LISTS = ("validation", "test")
"""Lists that a datalist may have beside `training`."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The cases of a run."""

    cases: tuple[CaseFiles, ...]
    """Trained on."""
    held_out: tuple[CaseFiles, ...]
    """Validated on."""
    passed_over: tuple[str, ...] = ()
    """Names of cases that were to be held out and hold nothing but pseudo-labels: they serve for neither."""
    not_read: tuple[tuple[Path, str], ...] = ()
    """Datalists, and the names of lists in them beside `training`, whose cases serve for neither."""
    splits_not_used: tuple[Path, ...] = ()
    """Splits into folds that lie beside the data, where `train` draws the held-out cases itself."""
    doubts: tuple[str, ...] = ()
    """What may be wrong with the label set; a line each."""


def data_of(call: TrainCall, recipe: Recipe) -> Data:
    """The cases that the command line names, complete, with sound headers and annotations.

    Raises:
        DataError: data are not usable, or cases that are trained on would be validated on.
        RecipeError: `--validation` is neither a folder nor a share.
    """
    cases, held_out = _cases(call, recipe)
    return Data(
        cases=cases,
        held_out=tuple(case.judged for case in held_out if case.is_judged),
        passed_over=tuple(case.name for case in held_out if not case.is_judged),
        not_read=tuple((folder, name) for folder in call.data for name in _other_lists(folder)),
        splits_not_used=() if call.hold_out is not None else tuple(_splits_beside(call.data)),
        doubts=tuple(doubts_of_lesions(recipe.labels, place_of_labels(call.data[0], recipe.labels))),
    )


def _other_lists(folder: Path) -> list[str]:
    """Names of the lists of a datalist that hold cases beside `training`, as `validation` of AMOS22."""
    try:
        document = read_json(document_of(folder))
    except (OSError, ValueError):
        return []
    if not isinstance(document, dict) or not document.get("training"):
        return []
    return [name for name in OTHER_LISTS if document.get(name)]


def _splits_beside(folders: Sequence[Path]) -> Iterator[Path]:
    return (path for folder in folders if (path := folder_of(folder) / SPLITS).is_file())


def _cases(call: TrainCall, recipe: Recipe) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    expected = Expected(labels=recipe.labels, channels=len(recipe.stated_inputs))
    cases = tuple(case for folder in call.data for case in checked_cases(folder, expected))
    if call.hold_out is not None:
        refuse_common_names(call.data, cases)
        kept, held_out = named_apart(cases, call.hold_out)
        refuse_common_images(kept, held_out)
        return kept, held_out
    try:
        fraction = float(call.validation)
    except ValueError:
        folder = Path(call.validation)
        held_out = checked_cases(folder, expected)
        if not _is_one_of(folder, call.data):
            refuse_common_images(cases, held_out)
        return cases, held_out
    if not 0 <= fraction < 1:
        raise RecipeError(
            f"--validation: must be a folder, or a share from 0 to below 1, is {call.validation}"
        )
    # Not split by --seed: members of an ensemble with seeds of their own are then judged on the same cases.
    kept, held_out = split_cases(cases, fraction, seed=0)
    refuse_common_images(kept, held_out)
    return kept, held_out


def folders_of(call: TrainCall) -> tuple[Path, ...]:
    """The data sets that the command line names, one to validate on last."""
    further = [] if call.hold_out is not None else [Path(call.validation)]
    return (*call.data, *(folder for folder in further if folder.exists()))


def _is_one_of(folder: Path, folders: Sequence[Path]) -> bool:
    """Whether the very data that are trained on are given to validate on, which is nobody's slip.

    It shows whether a network can learn its cases by heart; the run says that it is so.
    """
    return folder.resolve() in [one.resolve() for one in folders]
