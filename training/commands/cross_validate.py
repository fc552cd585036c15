"""`python -m training cross-validate`: train a recipe k times, judged by the cases that it did not see.

The engine (`predict.py`) segments each fold's held-out cases with the bundle of that fold; Dice is taken on
the images' own grids, of structures that a case annotates and holds. Writes `folds.csv`, `folds.png` and
`bundle`, the ensemble of all folds, into `--output`. Call it again and it goes on where it was: folds that
are done are left alone.

exit codes: 0 done; 1 failed; 2 wrong call or recipe; 130 interrupted
"""

import argparse
from pathlib import Path

from training.commands.options import add_gpus, add_run_options
from training.folds.fold_splits import BY_SEED, USUAL_FOLDS

WORK = "training.commands.work.cross_validate_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `cross-validate`."""
    parser.add_argument("recipe", help="name of a recipe in training/recipes, or a YAML file")
    parser.add_argument(
        "--data", type=Path, required=True, action="append", help="data-set folder; may be repeated"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for folds, table and the bundle of all folds"
    )
    parser.add_argument(
        "--folds", type=int, help=f"how many (default: as many as the data state, else {USUAL_FOLDS})"
    )
    parser.add_argument(
        "--splits",
        metavar="FILE",
        help="nnU-Net's splits_final.json, or a MONAI datalist with folds (default: what lies beside the "
        f"data); {BY_SEED}: draw a split by --seed, whatever the data state",
    )
    parser.add_argument(
        "--fold", type=int, metavar="I", help="only this fold, the first is 0, as a job of an array; no table"
    )
    add_gpus(parser, "each for one fold at a time (default: one fold at a time)")
    parser.add_argument(
        "--gpus-per-fold",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that train a fold together (default: %(default)s)",
    )
    parser.add_argument(
        "--localization",
        type=Path,
        metavar="CHECKPOINT",
        help="network that finds the region of interest, for every bundle",
    )
    parser.add_argument("--no-fp16", action="store_true", help="as for export")
    parser.add_argument(
        "--host-memory-mb", type=int, metavar="N", help="as for predict.py (default: its own)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say which cases each fold holds out and what would be run, and stop",
    )
    add_run_options(parser)
