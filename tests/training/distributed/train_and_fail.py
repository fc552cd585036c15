"""`train`, whose second process is lost in the middle of its sixth step, the first time.

Words: a file that is written when that has happened, then those of the command.
"""

import os
import sys
from pathlib import Path

from training.__main__ import main
from training.runs import loop

step_as_it_is = loop.training_step


def failing(run, step, batch):
    if step == 5 and run.ranks.rank == 1 and not Path(sys.argv[1]).exists():
        Path(sys.argv[1]).touch()
        os._exit(1)
    return step_as_it_is(run, step, batch)


loop.training_step = failing
sys.exit(main(sys.argv[2:]))
