"""`python -m training check`: all faults of all cases of a data set, before anything trains.

Faults are missing files, channels that are out of step, files that cannot be read, images and labels on
different grids, labels outside the set or of other names, and the same image twice. Three things are told
that are no faults: warnings of the readers (voxels that are no numbers, doubtful headers), a line each;
structures that sound like lesions (tumor, cyst) and are not among the label set's `lesions`; and how many
cases hold few of the structures, or none, and do not say what they annotate.

exit codes: 0 no faults; 1 faults; 2 wrong call or recipe
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from model.label_files import find_label_set
from model.labels import LabelSet
from model.model_errors import LabelSetError
from training.commands.options import add_workers, check_workers
from training.data.annotations import ANNOTATED
from training.data.checking import CaseReport, Expected, check_folder, perhaps_partial, without_labels
from training.data.label_agreement import label_set_beside
from training.data_place import folder_of
from training.recipes.loading import load_recipe
from training.recipes.recipe import Channels
from training.training_errors import RecipeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `check`."""
    parser.add_argument("data", type=Path, help="data-set folder, or a datalist (JSON)")
    parser.add_argument(
        "--recipe", help="hold labels and channels against this recipe's label set and inputs"
    )
    parser.add_argument(
        "--label-set", help="a label set by name or file (default: the recipe's, else the data set's own)"
    )
    parser.add_argument("--quick", action="store_true", help="look at names and headers only")
    add_workers(parser, "read files")


def run(arguments: argparse.Namespace) -> int:
    """Print every fault on a line of its own, then how many there are; 1 if there are any.

    Raises:
        DataError: there is no data set.
        RecipeError: the recipe or the call is faulty.
    """
    check_workers(arguments)
    expected = _expected(arguments)
    seen: list[CaseReport] = []
    cases = faults = 0
    reports = check_folder(arguments.data, expected, quick=arguments.quick, workers=arguments.workers)
    for report in tqdm(reports, disable=None, unit="case", dynamic_ncols=True):
        cases += bool(report.name)
        seen.append(report)
        faults += len(report.faults)
        for line in (*report.faults, *(f"warning: {warning}" for warning in report.warnings)):
            tqdm.write(line, file=sys.stdout)
    how = " by names and headers" if arguments.quick else ""
    if expected.labels is None and not arguments.quick:
        how += f"; ids were not looked at: {_why_no_labels(arguments.data)}"
    sys.stdout.write(f"{cases} cases checked{how}: {faults or 'no'} fault{'s' * (faults != 1)}\n")
    if partial := perhaps_partial(seen):
        hold, state, they = ("hold", "state", "they lack") if partial[1:] else ("holds", "states", "it lacks")
        sys.stdout.write(
            f"{_first_of(partial)} {hold} fewer than half of the structures and {state} no {ANNOTATED}: what "
            f"{they} is learned as background, also if it was only not labelled; python -m training "
            "fingerprint --write-annotated proposes that file\n"
        )
    if bare := without_labels(seen):
        label, show = ("label", "they show") if bare[1:] else ("labels", "it shows")
        sys.stdout.write(
            f"{_first_of(bare)} {label} nothing, every voxel is background: all that {show} is learned as "
            f"such; label it, leave the case out, or say in {ANNOTATED} what was looked for\n"
        )
    return 1 if faults else 0


def _first_of(names: Sequence[str]) -> str:
    """The subject of a sentence: how many of all cases these are, and which is the first."""
    return f"{len(names)} of them, {min(names)}{' first' if names[1:] else ''},"


def _why_no_labels(data: Path) -> str:
    try:
        label_set_beside(data)
    except RecipeError:
        return "the label set beside the data is faulty"
    return "no label set is stated beside the data, give --label-set"


def _expected(arguments: argparse.Namespace) -> Expected:
    """What the call and the data set say of labels and channels."""
    folder: Path = folder_of(arguments.data)
    labels: LabelSet | None = None
    channels: int | None = None
    outputs: Channels = "plain"
    if arguments.recipe is not None:
        recipe = load_recipe(arguments.recipe, data=folder)
        labels, channels, outputs = recipe.labels, len(recipe.stated_inputs), recipe.channels
    try:
        if arguments.label_set is not None:
            labels = find_label_set(arguments.label_set, regions=False)
    except LabelSetError as error:
        raise RecipeError(f"--label-set: {error}") from error
    if labels is None:
        with suppress(RecipeError):  # It is told as a fault of the data.
            labels = label_set_beside(arguments.data)
    return Expected(labels=labels, channels=channels, outputs=outputs)
