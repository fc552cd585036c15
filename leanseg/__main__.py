"""The installed command: `leanseg predict|inference|eval|training|model`, the same programs as in a clone."""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import argparse
import importlib
import sys
from collections.abc import Sequence

from leanseg.programs import importable
from leanseg.version import VERSION

PROGRAMS = {
    "predict": ("predict", "segment CTs: `python predict.py` of a clone"),
    "inference": ("inference.__main__", "segment cohorts, on a cluster too: `python -m inference`"),
    "eval": ("eval.__main__", "score, compare, measure and draw: `python -m eval`"),
    "model": (
        "model.__main__",
        "make, show and verify model bundles: `python -m model`",
    ),
    "training": ("training.__main__", "train networks and make bundles: `python -m training`"),
}
"""Name to the module whose `main(argv, program)` runs it, and its line in the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program with the words after its name; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in PROGRAMS:
        sys.path.insert(0, importable())
        program = importlib.import_module(PROGRAMS[words[0]][0])
        return int(program.main(words[1:], f"leanseg {words[0]}"))
    parser = argparse.ArgumentParser(
        prog="leanseg",
        description="3D CT segmentation within a memory budget, its training and its judging tools.",
        epilog="leanseg PROGRAM --help explains each. Not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"leanseg {VERSION}")
    programs = parser.add_subparsers(metavar="PROGRAM", required=True)
    for name, (_, summary) in PROGRAMS.items():
        programs.add_parser(name, help=summary)
    parser.parse_args(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
