"""Make models: `python -m training COMMAND --help`.

Exit codes: 0 done, 1 failed or a package is missing, 2 wrong call or recipe (data, a bundle or a checkpoint
that is not there too), 130 interrupted, 143 terminated, 129 hung up.
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import logging
import os
import sys
from collections.abc import Sequence

from leanseg.command_line import Command, dispatch
from model.model_errors import NoBundleError
from training.training_errors import BusyError, NoCheckpointError, NoDataError, PlanError, RecipeError

COMMANDS = {
    "train": Command(
        module="training.commands.train", summary="train a network by a recipe", needs="training"
    ),
    "check": Command(
        module="training.commands.check", summary="list all faults of a data set", needs="training"
    ),
    "fingerprint": Command(
        module="training.commands.fingerprint",
        summary="sum up sizes, spacings, intensities and structures of a data set",
        needs="training",
    ),
    "prepare": Command(
        module="training.commands.prepare",
        summary="bring a data set to a recipe's grid, for fast reading",
        needs="training",
    ),
    "run": Command(
        module="training.commands.run",
        summary="carry out a plan: a whole method, from data to a bundle",
        needs="training",
    ),
    "export": Command(
        module="training.commands.export", summary="make a bundle from checkpoints", needs="training"
    ),
    "cross-validate": Command(
        module="training.commands.cross_validate",
        summary="train and judge a recipe in k folds, and make a bundle of them",
        needs="training",
    ),
    "ensemble": Command(
        module="training.commands.ensemble", summary="join bundles into one", needs="training"
    ),
    "pseudo-label": Command(
        module="training.commands.pseudo_label",
        summary="let a bundle label what nobody has labelled, as data to train on",
        needs="training",
    ),
    "benchmark": Command(
        module="training.commands.benchmark",
        summary="measure training: steps, augmentation, the accelerated workflow",
        needs="training",
    ),
    "phantom": Command(
        module="training.commands.phantom", summary="make procedural CTs with truth", needs=".venv"
    ),
    "lesions": Command(
        module="training.commands.lesions",
        summary="paint synthetic lesions into labelled CTs",
        needs="training",
    ),
    "untrained": Command(
        module="training.commands.untrained",
        summary="make a bundle with random weights, to measure speed",
        needs="training",
    ),
}

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Variable by which torch asks the kernel for large pages. Each step takes the memory of its activations
anew; in pages of 4 KiB a CPU spends an eighth of its time on that."""
WAITING = "OMP_WAIT_POLICY"
"""Variable by which OpenMP is told how threads wait for each other. They ask again and again unless it says
`PASSIVE`, and keep the core from the thread that they wait for as soon as another program, or a process that
makes cases, wants one."""


def main(argv: Sequence[str] | None = None, program: str = "python -m training") -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program; None: those that Python was called with.
        program: what the user typed before them.
    """
    # Before torch is loaded, which asks once.
    os.environ.setdefault(LARGE_PAGES, "1")
    os.environ.setdefault(WAITING, "PASSIVE")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for part in ("training", "model"):
        logging.getLogger(part).setLevel(logging.INFO)
    return dispatch(
        program,
        "Training tools.",
        COMMANDS,
        sys.argv[1:] if argv is None else argv,
        refusals={
            RecipeError: 2,
            PlanError: 2,
            BusyError: 2,
            NoDataError: 2,
            NoCheckpointError: 2,
            NoBundleError: 2,
            ValueError: 1,
            OSError: 1,
            MemoryError: 1,
            ModuleNotFoundError: 1,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
