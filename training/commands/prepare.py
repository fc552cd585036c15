"""`python -m training prepare`: bring all cases to a recipe's grid once, so that training reads only patches.

`train --data STORE` reads what this wrote, by any recipe with the same grid: HU are stored, and become
network input when they are read. Call it again to continue, or after cases were added or changed.

exit codes: 0 done; 1 failed; 2 wrong call or recipe, or another one is at work in the store
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from training.commands.options import add_overrides, add_workers, check_workers
from training.data.checking import Expected, checked_cases
from training.data.datalist import data_name
from training.data.fingerprint import FINGERPRINT, write_fingerprint
from training.data.found_cases import CaseFiles
from training.data.label_agreement import refuse_other_names
from training.data.preparing import copy_beside, prepare, refuse_other_folder
from training.data.read_warnings import ReadWarnings
from training.data.resolving import fingerprint_for, with_figures
from training.data_place import folder_of
from training.folder_lock import locked
from training.recipes.loading import load_recipe
from training.recipes.recipe import Recipe
from training.training_errors import DataError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `prepare`."""
    parser.add_argument("data", type=Path, help="data-set folder, or a datalist (JSON)")
    parser.add_argument(
        "--recipe", required=True, help="name of a recipe in training/recipes, or a YAML file"
    )
    add_overrides(parser, "as for train, e.g. spacing_zyx_mm=[2,2,2]")
    parser.add_argument("--output", type=Path, required=True, metavar="STORE", help="folder to write")
    add_workers(parser, "read and resample")


def run(arguments: argparse.Namespace) -> int:
    """Prepare as the command line says.

    Raises:
        BusyError: another call is at work in the store.
        DataError: the data set is faulty, or there is something else at `--output`.
        RecipeError: the recipe or the call is faulty.
    """
    check_workers(arguments)
    base: Path = folder_of(arguments.data)
    store: Path = arguments.output
    recipe = load_recipe(arguments.recipe, arguments.overrides, data=base)
    refuse_other_names([arguments.data], recipe.labels, recipe.channels)
    cases = checked_cases(arguments.data, Expected(channels=len(recipe.stated_inputs)))
    if any(case.prepared for case in cases):
        raise DataError(f"{arguments.data}: is a prepared store already; give the data set")
    refuse_other_folder(store)  # Before a lock is put there.
    with locked(store):
        made = _filled(store, cases, recipe, arguments)
        copy_beside(base, store)
    logger.info("%d cases prepared, %d were there: %s", made, len(cases) - made, store)
    return 0


def _filled(store: Path, cases: Sequence[CaseFiles], recipe: Recipe, arguments: argparse.Namespace) -> int:
    """Write what is missing of a store, and its fingerprint; how many cases were brought to the grid."""
    fingerprint = None
    if recipe.takes_from_fingerprint:
        fingerprint = fingerprint_for([arguments.data], recipe, arguments.workers)
        recipe = with_figures(recipe, fingerprint)
    notes = ReadWarnings()
    with tqdm(total=len(cases), disable=None, unit="case", dynamic_ncols=True) as bar:
        made = prepare(
            store,
            cases,
            recipe,
            data_name(arguments.data),
            workers=arguments.workers,
            seen=lambda name: bar.update(),
            notes=notes,
        )
    notes.tell()
    if fingerprint is not None:
        write_fingerprint(store / FINGERPRINT, fingerprint)
    return made
