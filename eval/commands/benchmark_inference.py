"""Measure `predict.py` beside a plain PyTorch + MONAI pipeline: new processes, same CT, same weights.

The CTs are phantoms with slices of 512×512 voxels, or given with --ct. The networks are `small`, the small
plain U-Net of the FLARE22 winner with random weights, which shows speed only; `embedded`, which is
bundles/default; or the folder of a bundle. Tables are written to benchmark.md, pictures to
benchmark-stages.png and benchmark-memory.png in the output folder. Every run is recorded there: a call that
was interrupted continues where it stopped, and calls with the same --output add to the same tables.

The plain pipeline, the phantoms and the small network need torch, MONAI and onnx: `make training` sets them
up.

exit codes: 0 measured; 1 a run failed; 2 wrong input
"""

import argparse
import sys
from pathlib import Path

from eval.benchmark.contestants import CONTESTANTS, EMBEDDED, SMALL
from eval.benchmark.pipelines import Benchmark, prepare, write_results
from eval.benchmark.scans import given_scans, phantom_scans
from eval.commands.benchmark_options import add_run_options, output_folder, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be"
    )
    _add_subjects(parser)
    _add_run_options(parser)


def _add_subjects(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured: CTs, networks, contestants."""
    add = parser.add_argument
    add(
        "--slices",
        type=_at_least_one,
        nargs="+",
        default=[100, 300, 1000],
        metavar="N",
        help="numbers of slices of the phantoms (default: 100 300 1000)",
    )
    add(
        "--ct",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure on these CTs instead (.nii.gz, stored along L, P, S)",
    )
    add(
        "--networks",
        nargs="+",
        default=[SMALL, EMBEDDED],
        metavar="NAME",
        help="small, embedded or bundle folders (default: both)",
    )
    add(
        "--contestants",
        nargs="+",
        choices=list(CONTESTANTS),
        default=list(CONTESTANTS),
        metavar="NAME",
        help=_listed(),
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Declare how it is measured."""
    add_run_options(parser, "runs of each contestant; 0 only prepares CTs and networks")
    parser.add_argument(
        "--folder",
        type=int,
        default=0,
        metavar="N",
        help="also run predict.py on a folder with N copies of the first CT, with the last network",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prepare, make the runs that are missing, compare labels, print the tables."""
    output = output_folder(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    scans = given_scans(arguments.ct) if arguments.ct else phantom_scans(arguments.slices, output / "scans")
    networks = prepare(arguments.networks, arguments.contestants, output)
    if arguments.repeats <= 0:
        say(f"{len(scans)} CTs and {len(networks)} networks are ready in {output}")
        return 0
    benchmark = Benchmark(
        output=output,
        scans=scans,
        networks=networks,
        contestants=arguments.contestants,
        repeats=arguments.repeats,
        threads=arguments.threads,
        timeout_s=arguments.timeout,
        say=say,
    )
    well = benchmark.run_all()
    extras = benchmark.run_extras(arguments.folder)
    say("all runs are done; comparing labels")
    benchmark.compare_labels()
    sys.stdout.write(write_results(benchmark, extras))
    return 0 if well else 1


def _listed() -> str:
    return "; ".join(f"{name}: {what}" for name, what in CONTESTANTS.items()) + " (default: all)"


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return int(text)
