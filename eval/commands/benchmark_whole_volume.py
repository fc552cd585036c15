"""Measure a network of any window on whole volumes beside the same network in sliding windows.

The bundle's members must take any window (`python -m model show BUNDLE` says so). predict.py runs it as it
is, and with its own window only, case by case in new processes that take turns; labels are scored against the
truth. The table is written to whole-volume.md in the output folder. Every run is recorded there: a call that
was interrupted continues where it stopped.

exit codes: 0 measured; 1 a run failed; 2 wrong input
"""

import argparse
import sys
from pathlib import Path

from eval.benchmark.whole_volume import WholeVolumeBenchmark, both_ways, cases_of, whole_volume_table
from eval.commands.benchmark_options import add_run_options, output_folder
from eval.eval_errors import JudgingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add("bundle", type=Path, help="bundle whose members take any window")
    add("--images", type=Path, required=True, metavar="DIR", help="CTs, NAME_0000.nii.gz or NAME.nii.gz")
    add("--truth", type=Path, required=True, metavar="DIR", help="their truths, NAME.nii.gz")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be")
    add_run_options(parser, "runs of each case")


def run(arguments: argparse.Namespace) -> int:
    """Make the runs that are missing, score labels, print the table."""
    output = output_folder(arguments.output)
    if arguments.repeats < 1:
        raise JudgingError(f"--repeats {arguments.repeats}: must be 1 or more")
    cases = cases_of(arguments.images, arguments.truth)
    ways = both_ways(arguments.bundle.resolve(), output)
    (output / "labels").mkdir(parents=True, exist_ok=True)
    benchmark = WholeVolumeBenchmark(
        output=output,
        ways=ways,
        cases=cases,
        repeats=arguments.repeats,
        threads=arguments.threads,
        timeout_s=arguments.timeout,
        say=lambda text: sys.stderr.write(f"{text}\n"),
    )
    records = benchmark.run_all()
    text = whole_volume_table(records, benchmark.dice())
    (output / "whole-volume.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0 if all(record["exit_code"] == 0 for record in records) else 1
