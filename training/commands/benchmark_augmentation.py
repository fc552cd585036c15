"""Measure how fast patches are cut and varied on the training device.

Cases are made up and in memory, so that no disk is measured. Prints a table in markdown.

exit codes: 0 measured; 1 there is no such device; 2 wrong call
"""

import argparse

WORK = "training.commands.work.benchmark_augmentation_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--sides", type=int, nargs="+", default=[80, 128], metavar="N", help="patches of N×N×N (80 and 128)"
    )
    parser.add_argument("--patches", type=int, default=50, metavar="N", help="patches measured (default: 50)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
