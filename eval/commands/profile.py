"""Run a command and draw its use of GPU memory, GPU, CPU and RAM over time, beside that of the whole machine.

    python -m eval profile --output run.png -- python predict.py --input ct --output labels --report run.json

If the command has the option `--report FILE`, as predict.py has, the stages that the report names are drawn
under the curves, one row each; successive cases have different shades. The samples are written beside the
picture as NAME.csv.

exit codes: the command's own; also 2 for wrong input, nothing written
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path, check_writable
from eval.measuring.sampler import why_no_gpu
from eval.measuring.trace import GPU, OWN_CPU, OWN_CPU_S, OWN_GPU, OWN_RAM, RAM, Trace, write_trace
from eval.measuring.watch import profile, read_stages, report_path
from eval.pictures.curves import draw_curves

FORMATS = (".png", ".pdf", ".svg")
MOST_LETTERS = 110
"""Longest heading of a picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PNG", help="picture to write: .png, .pdf or .svg"
    )
    parser.add_argument(
        "--gpu", default="0", metavar="N", help="GPU that is measured: index or UUID (default: 0)"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument(
        "program", nargs="+", metavar="COMMAND", help="the command and its arguments, after --"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command, take samples, draw them."""
    output: Path = arguments.output
    if output.suffix.lower() not in FORMATS:
        raise JudgingError(f"{output}: unknown kind of picture; end the name in {', '.join(FORMATS)}")
    samples = output.with_suffix(".csv")
    check_writable((output, samples), arguments.force)
    problem = why_no_gpu(arguments.gpu)
    if problem:
        sys.stderr.write(f"{problem}: no GPU curves\n")
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
    """The figures as the terminal shows them; quantities without samples are left out."""
    lines = [
        f"time              {trace.duration_s:10.2f} s   ({trace.samples} samples, at most "
        f"{trace.longest_gap_s:.2f} s apart)"
    ]
    if trace.stopped_after_s is not None:
        lines.append(
            f"the sampler stopped {trace.stopped_after_s:.1f} s after the start: "
            "the figures cover only that time"
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
    if OWN_CPU_S in trace.counters:
        lines.append(f"processor seconds {trace.counters[OWN_CPU_S]:10.2f} s   (of all its processes)")
    return "\n".join([*lines, *trace.remarks]) + "\n"
