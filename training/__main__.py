"""`python -m training COMMAND`: one place for the commands and for turning exceptions into messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong call or recipe, 130 interrupted.
"""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from training.training_errors import RecipeError

COMMANDS = {
    "train": ("training.commands.train", "train a network by a recipe"),
    "export": ("training.commands.export", "make a bundle from checkpoints"),
    "phantom": ("training.commands.phantom", "make procedural CTs with truth"),
    "untrained": ("training.commands.untrained", "make a bundle with random weights, to measure speed"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m training", description="Training tools.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if words[:1] == [name]:
            # Only the command asked for is imported: torch takes seconds, and phantoms do not need it.
            try:
                module = importlib.import_module(COMMANDS[name][0])
            except ModuleNotFoundError as error:
                remedy = f"run `make training`, then .venv/bin/python -m training {name}"
                return _fail(f"{error.name} is not installed for {sys.executable}; {remedy}", 1)
            module.add_arguments(command)
    args = parser.parse_args(words)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("training").setLevel(logging.INFO)
    try:
        module.run(args)
    except RecipeError as error:
        return _fail(str(error), 2)
    except (ValueError, OSError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
