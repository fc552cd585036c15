"""Measure training steps of a recipe at its own size: where their time goes, and what memory they take.

The steps are those that `train` takes in the recipe's first stage, on patches or whole volumes, with the
cases that the recipe makes meanwhile, and nothing is kept of them. After each part of a step the device
finishes what it was given, so that steps are a little slower than in training. Prints a table in markdown.

exit codes: 0 measured; 1 data are not usable; 2 wrong call or recipe
"""

import argparse
from pathlib import Path

from training.commands.options import add_overrides, add_synthesis

WORK = "training.commands.work.benchmark_step_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("recipe", help="name of a recipe, or a YAML file")
    parser.add_argument("--data", type=Path, required=True, help="data-set folder to train on")
    parser.add_argument("--steps", type=int, default=20, help="steps measured (default: 20)")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before them (default: 5)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all cores)")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare patches (default: 1)")
    add_synthesis(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    add_overrides(parser, "as for train, e.g. sampling.batch_size=1")
