"""Compare a recipe with itself in the accelerated workflow.

Both are trained on the same cases with the same seeds; their best checkpoints segment cases that neither has
seen; images that `--data` and `--test` have in common are refused. Prints time, Dice and HD95 of each
structure with paired p values, and writes them to `benchmark.json`. The length of the image's diagonal takes
the place of infinite distances.

exit codes: 0 measured; 1 data are not usable; 2 wrong call or recipe
"""

import argparse
from pathlib import Path

WORK = "training.commands.work.benchmark_accelerated_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("recipe", help="the baseline: name of a recipe, or a YAML file")
    parser.add_argument("--data", type=Path, required=True, help="data-set folder to train on")
    parser.add_argument("--test", type=Path, required=True, help="data-set folder of cases to judge by")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs, recipes and results")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each way (default: 1)")
    parser.add_argument(
        "--window-epochs", type=int, help="epochs that the monitor looks at (default: the workflow's)"
    )
    parser.add_argument(
        "--slope-per-epoch",
        type=float,
        help="Dice, 0 to 1, that an epoch must still be able to gain (default: the workflow's)",
    )
    parser.add_argument(
        "--validation", default="0.1", metavar="DIR|FRACTION", help="as for train (default: 0.1)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all cores)")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare patches (default: 1)")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE", help="as for train"
    )
