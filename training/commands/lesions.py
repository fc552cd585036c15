"""`python -m training lesions`: copies of labelled CTs with synthetic lesions in their organs.

Lesions are painted into the organs of CTs, scans or drawn ones, and labelled. What a person labelled as a
tumor stays; whatever real lesion nobody labelled is taught to be none. Copies of one case belong to one fold
(`splits_final.json`). A call that was interrupted can be made again with the same words.

exit codes: 0 written; 1 no usable data, or a value out of range; 2 wrong call or label set, or no data there
"""

import argparse
from pathlib import Path

from training.data.painted_lesions import paint_data_set
from training.folds.split_of_copies import write_split_of_copies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `lesions`."""
    parser.add_argument(
        "data", type=Path, help="labelled CTs: a data-set folder with its label set, or a datalist (JSON)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write; one that is empty or not there",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default: 0)")
    parser.add_argument(
        "--copies",
        type=int,
        default=1,
        metavar="N",
        help="copies of each case, each with other lesions (default: 1)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Write the copies, and which of them belong together.

    Raises:
        ValueError: an argument is out of range.
        RecipeError: the label set beside the data is faulty, or one of regions.
        DataError: there are no usable data, or something else lies in the output.
        WriteError: a file cannot be written.
    """
    written = paint_data_set(
        arguments.data,
        arguments.output,
        seed=arguments.seed,
        copies=arguments.copies,
        workers=arguments.workers,
    )
    copies: dict[str, list[str]] = {}
    for copy in written:
        copies.setdefault(copy.source, []).append(copy.name)
    write_split_of_copies(arguments.data, arguments.output, copies, arguments.seed)
    return 0
