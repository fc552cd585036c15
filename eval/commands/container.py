"""Run a submission's container once per case, as organisers do, and measure time, memory and processors.

Each image of DIR is given to a new container of IMAGE as /workspace/inputs/CASE_0000.nii.gz. The container
must write /workspace/outputs/CASE.nii.gz on the image's grid and exit with code 0 within the time limit.
Valid label maps are collected in the output folder, to be scored with `python -m eval score`. A case that
failed, ran out of time or memory, or wrote no valid label map is named; it has no label map and therefore
scores 0.

Containers run locked down (no network, no capabilities, a read-only file system but for /tmp and outputs/),
or with --official-command exactly as the FLARE organisers' program runs them. The table RESULTS (NAME.csv)
begins with the organisers' columns; NAME_cases/ beside it holds a log and a trace of samples for each case.
Without --gpu the GPU columns are empty.

exit codes: 0 all cases ended well; 1 some did not and are named; 2 wrong input, or docker does not work
"""

import argparse
import re
import signal
import sys
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import SUFFIXES, check_writable
from eval.label_sets import LABEL_SETS_HELP, find_labels
from eval.measuring.container_run import ContainerCase, ContainerOptions, check_image, output_name, run_case
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.efficiency_table import efficiency_row, write_efficiency
from eval.measuring.sampler import why_no_gpu
from eval.measuring.trace import write_trace
from model.labels import FLARE23


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("image", metavar="IMAGE", help="image as docker knows it, leanseg:latest")
    parser.add_argument(
        "--input", type=Path, required=True, metavar="DIR", help="folder of images, CASE_0000.nii.gz"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the label maps, made if it is missing",
    )
    parser.add_argument(
        "--results", type=Path, required=True, metavar="CSV", help="table to write, one row per case"
    )
    parser.add_argument(
        "--gpu",
        metavar="N",
        help="GPU that containers get and that is measured: index or UUID (default: none)",
    )
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory limit of a container (default: 28g with --gpu, 8g without)"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="S",
        help="seconds after which a case is stopped (default: 3600)",
    )
    parser.add_argument(
        "--labels",
        metavar="SET",
        default=FLARE23.name,
        help=f"labels that a label map may hold: {LABEL_SETS_HELP} (default: %(default)s)",
    )
    parser.add_argument(
        "--official-command",
        action="store_true",
        help="run containers exactly as the organisers do, not locked down",
    )
    parser.add_argument("--force", action="store_true", help="replace existing results and label maps")


def run(arguments: argparse.Namespace) -> int:
    """Run all cases; the table is written again after each of them."""
    results_path: Path = arguments.results
    if arguments.limit <= 0:
        raise JudgingError(f"--limit is {arguments.limit:g}, must be more than 0 s")
    if arguments.memory and not re.fullmatch(r"[1-9]\d*[bkmg]?", arguments.memory, re.IGNORECASE):
        raise JudgingError(
            f"--memory is {arguments.memory}, must be a whole number with its unit, like 8g or 512m"
        )
    labels = find_labels(arguments.labels)
    images = _images(arguments.input)
    check_writable((results_path, *(_output(arguments.output, image) for image in images)), arguments.force)
    if arguments.output.resolve() == arguments.input.resolve():
        raise JudgingError(f"{arguments.output}: is the input folder; choose another for the label maps")
    check_image(arguments.image)
    options = ContainerOptions(
        image=arguments.image,
        memory=arguments.memory or ("8g" if arguments.gpu is None else "28g"),
        gpu=arguments.gpu,
        official=arguments.official_command,
        limit_s=arguments.limit,
        labels=labels,
    )
    problem = "no GPU was asked for (--gpu)" if arguments.gpu is None else why_no_gpu(arguments.gpu)
    if problem:
        sys.stderr.write(f"{problem}: the GPU columns stay empty\n")
    folder = results_path.with_name(f"{results_path.stem}_cases")
    folder.mkdir(exist_ok=True)
    # When a batch system asks this program to end, the container that it started must end too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: list[CaseEfficiency] = []
    for image in images:
        output = _output(arguments.output, image)
        output.unlink(missing_ok=True)
        stem = output.name.removesuffix(".nii.gz")
        result = run_case(ContainerCase(image=image, output=output, log=folder / f"{stem}.log"), options)
        write_trace(folder / f"{stem}.trace.csv", result.trace)
        results.append(result)
        write_efficiency(results_path, results)
        sys.stderr.write(f"[{len(results)}/{len(images)}] {progress(result)}\n")
    bad = [result for result in results if result.status is not Status.OK]
    sys.stdout.write(f"{len(results) - len(bad)} of {len(results)} cases ended well; {results_path}\n")
    return 1 if bad else 0


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise JudgingError(f"{folder}: no such folder")
    images = sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()
    )
    if not images:
        raise JudgingError(f"{folder}: holds no .nii.gz or .nii images")
    names = [output_name(image) for image in images]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JudgingError(f"{folder}: holds two images whose label map is {twice}; keep one")
    return images


def _output(folder: Path, image: Path) -> Path:
    if not folder.exists():
        if not folder.parent.is_dir():
            raise JudgingError(f"{folder.parent}: no such folder; create it first")
        folder.mkdir()
    return folder / output_name(image)


def progress(result: CaseEfficiency) -> str:
    """A case in one line: how it ended, its time, its peaks of memory."""
    row = efficiency_row(result)
    figures = [f"{row['Wall_s']} s"]
    for label, column in (("GPU", "MaxGPU_Mem"), ("own RAM", "OwnRAM_Max_MB")):
        if row.get(column):
            figures.append(f"{label} {row[column]} MB")
    remark = f": {result.remark}" if result.remark else ""
    return f"{result.name}: {result.status}{remark} ({', '.join(figures)})"
