"""`python -m training phantom`: procedural CTs with truth, as a data-set folder.

exit codes: 0 written; 1 a value out of range, or no usable label map; 2 wrong call
"""

import argparse
from pathlib import Path

from training.phantom.bodies.data_folder import Cohort, write_dataset
from training.phantom.case import COVERAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `phantom`."""
    parser.add_argument("--cases", type=int, required=True, metavar="N", help="number of cases to write")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default: 0)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write, created if missing"
    )
    parser.add_argument(
        "--anatomy",
        type=Path,
        metavar="DIR",
        help="label maps to deform and fill (*.nii.gz): FLARE ids, or "
        "all structures of a body, named by a structures.json beside them",
    )
    parser.add_argument(
        "--anatomy-share",
        type=float,
        default=0.5,
        metavar="P",
        help="share of cases made from label maps (default: 0.5)",
    )
    parser.add_argument(
        "--elsewhere-share",
        type=float,
        default=0.0,
        metavar="P",
        help="share of cases that show other parts of the body, without any organ (default: 0)",
    )
    parser.add_argument(
        "--coverage",
        choices=COVERAGES,
        metavar="EXAMINATION",
        help=f"what all cases show: {', '.join(COVERAGES)} (default: drawn for each)",
    )
    parser.add_argument(
        "--spacing-zyx-mm",
        type=float,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="spacing of all cases (default: drawn for each)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default: 1)")
    parser.add_argument(
        "--first-index",
        type=int,
        default=0,
        metavar="I",
        help="number of the first case, to extend a folder (default: 0)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write phantom cases as the command line says.

    Raises:
        ValueError: an argument is out of range, or the anatomy folder holds no usable label map.
    """
    cohort = Cohort(
        cases=arguments.cases,
        seed=arguments.seed,
        first_index=arguments.first_index,
        anatomy_share=arguments.anatomy_share,
        elsewhere_share=arguments.elsewhere_share,
        coverage=arguments.coverage,
        spacing_zyx_mm=tuple(arguments.spacing_zyx_mm) if arguments.spacing_zyx_mm else None,
    )
    write_dataset(arguments.output, cohort, anatomy=arguments.anatomy, workers=arguments.workers)
    return 0
