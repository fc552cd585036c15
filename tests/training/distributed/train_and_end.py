"""`train`, some of whose processes hear a signal at a given place.

Words: a signal's number, the numbers of the processes that hear it, with commas between, the function of the
loop that they hear it in, the step that they are in then, counted from 0; and those of the command.
"""

import os
import signal
import sys

from training.__main__ import main
from training.runs import loop

number, heard_by, function, step = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3], int(sys.argv[4])
does = getattr(loop, function)


def ending(run, *more, **named):
    now = more[0] if function == "training_step" else run.info.step - 1
    if now == step and os.environ["RANK"] in heard_by:
        os.kill(os.getpid(), number)
    return does(run, *more, **named)


# What runs in the background may ignore Ctrl-C, and what `nohup` starts the end of its terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
setattr(loop, function, ending)
sys.exit(main(sys.argv[5:]))
