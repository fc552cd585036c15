"""Judge a submission from outside, as an organiser does: `python -m eval COMMAND --help`.

Exit codes: 0 all went well; 1 the work was done, but some cases were in error and are named; 2 the input was
wrong and nothing was written.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

import SimpleITK as sitk

from eval.eval_errors import JudgingError

COMMANDS = {
    "score": "score predictions against truths: DSC, NSD, HD95, volume difference",
    "compare": "test two score tables against each other, organ by organ",
    "container": "run a submission's container case by case, as organisers do, and measure it",
    "profile": "run any command and draw what it takes over time",
    "rank": "rank submissions by their score and efficiency tables",
    "picture": "draw a CT with labels in three planes",
    "report": "make a page to look at: figures, cases in slices and in 3D",
    "benchmark": "measure speed side by side with others: metrics, inference",
}
"""Command to its one-line help; `eval/commands/NAME.py` has `add_arguments(parser)` and `run(arguments)`."""

EPILOG = """\
from a container to a page, for one submission:
  python -m eval container team:latest --input images --output team/labels --results team/efficiency.csv
  python -m eval score --pred team/labels --truth truth --labels flare23 --output team/scores.csv
  python -m eval report --scores team/scores.csv --efficiency team/efficiency.csv \\
      --images images --pred team/labels --truth truth --output team/report
and between submissions:
  python -m eval compare team/scores.csv other/scores.csv
  python -m eval rank team other --output ranking.csv

python -m eval COMMAND --help explains each.
exit codes: 0 all went well; 1 done, but some cases were in error and are named; 2 wrong input
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m eval",
        description="Judge a submission from outside, as an organiser does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == _command_of(arguments):
            module = importlib.import_module(f"eval.commands.{name}")
            subparser.description = module.__doc__
            module.add_arguments(subparser)
    parsed = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return int(importlib.import_module(f"eval.commands.{parsed.command}").run(parsed))
    except JudgingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'file system'}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; only whole files were written\n")
        return 130


def _command_of(arguments: Sequence[str]) -> str | None:
    """The command, so that only its module, with its plotting library or not, is imported."""
    return next((argument for argument in arguments if not argument.startswith("-")), None)


if __name__ == "__main__":
    sys.exit(main())
