"""Judge a submission from outside, as an organiser does: `python -m eval COMMAND --help`.

Exit codes: 0 all went well; 1 the work was done, but some cases were in error and are named; 2 the input was
wrong and nothing was written, or a package is missing; 130 interrupted, 143 terminated, 129 hung up.
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import sys
from collections.abc import Sequence

from eval.eval_errors import JudgingError
from leanseg.command_line import Command, dispatch

COMMANDS = {
    name: Command(module=f"eval.commands.{name.replace('-', '_')}", summary=summary, needs=".venv")
    for name, summary in {
        "score": "score predictions against truths: DSC, NSD, HD95, volume difference",
        "compare": "test two score tables against each other, organ by organ",
        "container": "run a submission's container case by case, as organisers do, and measure it",
        "check": "try a submission as organisers will, before it is sent in",
        "profile": "run any command and draw what it takes over time",
        "rank": "rank submissions by their score and efficiency tables",
        "picture": "draw a CT with labels in three planes",
        "report": "make a page to look at: figures, cases in slices and in 3D",
        "benchmark": "measure speed: metrics, inference, training, whole volumes; all on a GPU",
        "gpu-check": "check on an NVIDIA GPU, in ten minutes, what predict.py promises there",
    }.items()
}

EPILOG = """\
from a container to a page, for one submission:

    {program} container team:latest --input images --output team/labels --results team/efficiency.csv
    {program} score --pred team/labels --truth truth --labels flare23 --output team/scores.csv
    {program} report --scores team/scores.csv --efficiency team/efficiency.csv \\
        --images images --pred team/labels --truth truth --output team/report

and between submissions:

    {program} compare team/scores.csv other/scores.csv
    {program} rank team other --output ranking.csv

{program} COMMAND --help explains each.

exit codes: 0 all went well; 1 done, but some cases were in error and are named; 2 wrong input
"""


def main(argv: Sequence[str] | None = None, program: str = "python -m eval") -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program; None: those that Python was called with.
        program: what the user typed before them.
    """
    return dispatch(
        program,
        "Judge a submission from outside, as an organiser does.",
        COMMANDS,
        sys.argv[1:] if argv is None else argv,
        epilog=EPILOG.format(program=program),
        refusals={JudgingError: 2, OSError: 2, ModuleNotFoundError: 2},
        told="{}; only whole files were written",
    )


if __name__ == "__main__":
    sys.exit(main())
