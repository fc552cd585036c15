"""`python -m training ensemble`: several bundles become one, such as the final models of different recipes.

`--fuse cleaned`: each bundle's members are averaged and cleaned up by themselves, then the results are
averaged, as the AMOS22 entry with large batches and large patches does. Bundles that average logits and clean
nothing up are averaged on the image's grid, as nnUNetv2_ensemble does.

`--fuse members`: all members become one ensemble on the finest of their grids.

exit codes: 0 done; 1 the bundles do not go together; 2 wrong call
"""

import argparse
from pathlib import Path

WORK = "training.commands.work.ensemble_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ensemble`."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundle folders, two or more")
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--fuse",
        choices=("cleaned", "members"),
        default="cleaned",
        help="cleaned: each bundle is cleaned up before all are averaged; members: after (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="W",
        help="share of each bundle, relative to the others (default: all the same)",
    )
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--licence", help="licence of the weights (default: those of the bundles)")
    parser.add_argument("--intended-use", help="what the model is for (default: as the bundles say)")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")
