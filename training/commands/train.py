"""`python -m training train`: a recipe and a data set become checkpoints.

exit codes: 0 trained; 1 the data are not usable, or training failed; 2 wrong call or recipe, or data or a
checkpoint that are not there; 130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP
(--resume goes on)
"""

import argparse
from pathlib import Path

from training.commands.options import add_run_options
from training.commands.train_call import TrainCall
from training.recipes.recipe_names import known_recipes

WORK = "training.commands.work.train_work"

ALWAYS, IF_THERE = "always", "auto"
"""What `--resume` may be."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `train`."""
    parser.epilog = f"recipes: {', '.join(known_recipes())}"
    parser.add_argument("recipe", help="name of a recipe, see below, or a YAML file")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        action="append",
        help="data-set folder (imagesTr, labelsTr); may be repeated",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints, log and curves")
    parser.add_argument(
        "--resume",
        nargs="?",
        choices=(ALWAYS, IF_THERE),
        const=ALWAYS,
        help="go on from the last checkpoint in --output; auto: if there is one, else start",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="CHECKPOINT|ONNX",
        help="start from these weights instead of random ones; a bundle's network file will do",
    )
    parser.add_argument(
        "--validation",
        default=TrainCall.validation,
        metavar="DIR|FRACTION",
        help="held-out data set, or share of --data (default: 0.1; 0 is none)",
    )
    parser.add_argument(
        "--hold-out",
        type=Path,
        metavar="FILE",
        help="names of the cases of --data to validate on, one a line, instead of --validation",
    )
    add_run_options(parser)
    parser.add_argument(
        "--times", action="store_true", help="also write how long each part of each step took: times.json"
    )
