"""`python -m training lesions`: copies of labelled CTs with synthetic lesions in their organs.

Lesions are painted into the organs of CTs, scans or drawn ones, and labelled. What a person labelled as a
tumor stays. Voxels that no lesion was painted into keep their label, so whatever real lesion nobody labelled
is taught to be none.

A call that was interrupted can be made again with the same words.

exit codes: 0 written; 1 no usable data, or a value out of range; 2 wrong call, or no data there
"""

import argparse
from pathlib import Path

from training.data.painted_lesions import paint_data_set


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
    """Write the copies.

    Raises:
        ValueError: an argument is out of range.
        DataError: there are no usable data, or something else lies in the output.
    """
    paint_data_set(
        arguments.data,
        arguments.output,
        seed=arguments.seed,
        copies=arguments.copies,
        workers=arguments.workers,
    )
    return 0
