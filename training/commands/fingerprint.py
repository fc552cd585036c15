"""`python -m training fingerprint`: sizes, spacings, intensities, volumes and structures of a data set.

Writes `fingerprint.json` and `fingerprint.png` beside the data and prints a table. Recipes that say
`spacing_zyx_mm: fingerprint` or `intensity: {kind: from_fingerprint}` take their figures from it.

With --write-annotated it proposes `annotated.json`, which says what each case annotates: the structures that
occur in it. Look at the file before you keep it. An organ that was removed, or a tumor that is not there,
does not occur either, and yet the case annotates it.

exit codes: 0 done; 1 failed; 2 wrong call
"""

import argparse
import logging
import sys
from pathlib import Path

from tqdm import tqdm

from model.label_files import find_label_set
from model.model_errors import LabelSetError
from training.commands.options import add_workers, check_workers
from training.data.annotations import ANNOTATED, annotated_text
from training.data.fingerprint import FINGERPRINT, Fingerprint, take_fingerprint, write_fingerprint
from training.data.fingerprint_report import plot, table
from training.data.folders import labelled_cases
from training.data_place import folder_of
from training.training_errors import DataError, RecipeError
from training.whole_files import write_text

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `fingerprint`."""
    parser.add_argument("data", type=Path, help="data-set folder, or a datalist (JSON)")
    parser.add_argument("--label-set", help="a label set by name or file (default: the data set's own)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write (default: beside the data)"
    )
    parser.add_argument(
        "--write-annotated", action="store_true", help=f"propose {ANNOTATED} for partially labelled cases"
    )
    add_workers(parser, "read files")


def run(arguments: argparse.Namespace) -> int:
    """Take the fingerprint as the command line says.

    Raises:
        DataError: there is no data set, or a case cannot be read.
        RecipeError: the call is faulty.
    """
    check_workers(arguments)
    beside: Path = folder_of(arguments.data)
    folder: Path = arguments.output or beside
    if arguments.write_annotated and (beside / ANNOTATED).exists():
        raise DataError(f"{beside / ANNOTATED}: is there already; move it away to have a new one proposed")
    cases = labelled_cases(arguments.data)
    if any(case.prepared for case in cases):
        raise DataError(f"{arguments.data}: is a prepared store; give the data set that it was made from")
    try:
        labels = find_label_set(arguments.label_set or beside, regions=False)
    except LabelSetError as error:
        raise RecipeError(f"{error}; give --label-set") from error
    with tqdm(total=len(cases), disable=None, unit="case", dynamic_ncols=True) as bar:
        fingerprint = take_fingerprint(
            cases, labels, workers=arguments.workers, seen=lambda name: bar.update()
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_fingerprint(folder / FINGERPRINT, fingerprint)
    plot(fingerprint, labels, (folder / FINGERPRINT).with_suffix(".png"))
    sys.stdout.write(f"{table(fingerprint, labels)}\n")
    if arguments.write_annotated:
        write_text(beside / ANNOTATED, proposal(fingerprint))
        logger.info("proposed: %s; keep it only if it is right", beside / ANNOTATED)
    logger.info("done: %s", folder / FINGERPRINT)
    return 0


def proposal(fingerprint: Fingerprint) -> str:
    """Text of an `annotated.json` in which each case annotates what occurs in it."""
    return annotated_text({case: group.structures for group in fingerprint.groups for case in group.cases})
