"""Look at bundles: `python -m model COMMAND --help`.

Exit codes: 0 done, 2 wrong call or no usable bundle, 130 interrupted.
"""

import sys
from collections.abc import Sequence

from leanseg.command_line import Command, dispatch
from model.bundle import BundleError

COMMANDS = {
    "show": Command(module="model.commands.show", summary="say what a bundle holds", needs=".venv"),
}


def main(argv: Sequence[str] | None = None, program: str = "python -m model") -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program; None: those that Python was called with.
        program: what the user typed before them.
    """
    return dispatch(
        program,
        "Look at model bundles.",
        COMMANDS,
        sys.argv[1:] if argv is None else argv,
        refusals={BundleError: 2, OSError: 2, ModuleNotFoundError: 2},
    )


if __name__ == "__main__":
    sys.exit(main())
