"""Make bundles of others' models, and look at bundles: `python -m model COMMAND --help`.

Exit codes: 0 done, 1 failed, 2 wrong call or no usable bundle, 130 interrupted, 143 terminated, 129 hung up.
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import logging
import sys
from collections.abc import Sequence

from leanseg.command_line import Command, dispatch
from model.model_errors import BundleError, LabelSetError, RefusedModelError

COMMANDS = {
    "import": Command(
        module="model.commands.import_model",
        summary="make a bundle of another program's model",
        needs="training",
    ),
    "show": Command(module="model.commands.show", summary="say what a bundle holds", needs=".venv"),
    "verify": Command(
        module="model.commands.verify", summary="compare a bundle with what it was made from", needs=".venv"
    ),
    "tune": Command(module="model.commands.tune", summary="change how a bundle is run", needs=".venv"),
    "measure": Command(
        module="model.commands.measure", summary="measure the memory that a bundle takes", needs=".venv"
    ),
    "labels": Command(module="model.commands.labels", summary="write another label set", needs=".venv"),
}


def main(argv: Sequence[str] | None = None, program: str = "python -m model") -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program; None: those that Python was called with.
        program: what the user typed before them.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("model").setLevel(logging.INFO)
    return dispatch(
        program,
        "Make bundles of others' models, and look at bundles.",
        COMMANDS,
        sys.argv[1:] if argv is None else argv,
        refusals={
            **dict.fromkeys((BundleError, RefusedModelError, LabelSetError), 2),
            ValueError: 1,
            **dict.fromkeys((OSError, ModuleNotFoundError), 2),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
