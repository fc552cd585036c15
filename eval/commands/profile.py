"""Run a command and draw what it takes over time: GPU memory, GPU and CPU utilization, RAM.

Its own and the machine's.

    python -m eval profile --output run.png -- python predict.py --input ct/ --output labels/ --report
    run.json

If the command is told to write `--report run.json`, as predict.py can, the stages it tells of are drawn under
the curves, one row each; neighbouring cases have different shades. The samples are written beside the picture
as NAME.csv.

exit codes: the command's own; 2 also for wrong input, nothing written
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path, check_writable
from eval.measuring.sampler import why_no_gpu
from eval.measuring.trace import GPU, OWN_CPU, OWN_GPU, OWN_RAM, RAM, Trace, write_trace
from eval.measuring.watch import profile, read_stages, report_path
from eval.pictures.curves import draw_curves

FORMATS = (".png", ".pdf", ".svg")
MOST_LETTERS = 110
"""Of a heading."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PNG", help="picture to write: .png, .pdf or .svg"
    )
    parser.add_argument("--gpu", default="0", metavar="N", help="GPU to watch: index or UUID (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument(
        "program", nargs="+", metavar="COMMAND", help="the command and its arguments, after --"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run, sample, draw."""
    output: Path = arguments.output
    if output.suffix.lower() not in FORMATS:
        raise JudgingError(f"{output}: unknown kind of picture; end the name in {', '.join(FORMATS)}")
    samples = output.with_suffix(".csv")
    check_writable((output, samples), arguments.force)
    problem = why_no_gpu(arguments.gpu)
    if problem:
        sys.stderr.write(f"{problem}: no GPU curves\n")
    # Asked to end, as by a batch system, we take along what we started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = profile(arguments.program, None if problem else arguments.gpu)
    report = report_path(arguments.program)
    stages = []
    try:
        stages = read_stages(report, result.started_unix_s) if report else []
    except JudgingError as error:
        sys.stderr.write(f"{error}\n")
    write_trace(samples, result.trace)
    with atomic_path(output) as temporary:
        draw_curves(result.trace, stages, _heading(arguments.program), temporary)
    sys.stdout.write(profile_text(result.trace) + f"{output}, {samples}\n")
    if result.exit_code:
        sys.stderr.write(f"the command ended with exit code {result.exit_code}\n")
    return result.exit_code if result.exit_code >= 0 else 128 - result.exit_code


def _heading(program: Sequence[str]) -> str:
    text = " ".join(program)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} …"


def profile_text(trace: Trace) -> str:
    """Figures for a terminal; what was not taken is left out."""
    lines = [
        f"time              {trace.duration_s:10.2f} s   ({trace.samples} samples, at most "
        f"{trace.longest_gap_s:.2f} s apart)"
    ]
    if trace.stopped_after_s is not None:
        lines.append(
            f"the sampler stopped {trace.stopped_after_s:.1f} s after the start: the figures are about that "
            "time only"
        )
    if trace.has(GPU):
        lines.append(f"GPU, before       {trace.baseline(GPU):10.0f} MB")
    rows = (
        ("GPU", GPU),
        ("GPU, its own", OWN_GPU),
        ("RAM", RAM),
        ("RAM, its own", OWN_RAM),
        ("CPU, its own", OWN_CPU),
    )
    for name, quantity in rows:
        unit = "%" if quantity == OWN_CPU else "MB"
        if trace.has(quantity):
            lines.append(
                f"{name:<18}{trace.peak(quantity):10.0f} {unit} at most, {trace.integral(quantity):.0f} "
                f"{unit}·s"
            )
    return "\n".join(lines) + "\n"
