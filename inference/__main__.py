"""Run bundles on many cases: `python -m inference COMMAND --help`. One folder on one machine is `predict.py`.

Exit codes: 0 all cases were segmented; 1 some failed and are named; 2 wrong call, nothing could be run or
written, or no worker is left; 130 interrupted, 143 terminated, 129 hung up.
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import sys
from collections.abc import Sequence

from leanseg.command_line import Command, dispatch
from model.model_errors import LeanSegError

COMMANDS = {
    "cohort": Command(
        module="inference.commands.cohort",
        summary="segment any number of CTs, on one machine or on a Ray cluster",
        needs="cohort",
    ),
}


def main(argv: Sequence[str] | None = None, program: str = "python -m inference") -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program; None: those that Python was called with.
        program: what the user typed before them.
    """
    return dispatch(
        program,
        "Run bundles on many cases.",
        COMMANDS,
        sys.argv[1:] if argv is None else argv,
        refusals={**dict.fromkeys((LeanSegError, OSError, ModuleNotFoundError), 2)},
        told="{}; results written so far are whole, --resume goes on",
    )


if __name__ == "__main__":
    sys.exit(main())
