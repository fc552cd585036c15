"""Run a submission's container once per case, as organisers do, and measure time, memory and processors.

Each image of DIR is given to a new container of IMAGE as /workspace/inputs/CASE_0000.nii.gz. The container
must write /workspace/outputs/CASE.nii.gz on the image's grid and exit with code 0 within the time limit.
Valid label maps are collected in the output folder, to be scored with `python -m eval score`. A case that
failed, ran out of time or memory, or wrote no valid label map is named; it has no label map and therefore
scores 0.

Containers run locked down (no network, no capabilities, a read-only file system but for /tmp and outputs/),
or with --official-command exactly as the FLARE organisers' program runs them. The table RESULTS (NAME.csv)
begins with the organisers' columns; NAME_cases/ beside it holds a log and a trace of samples for each case,
and NAME_run.json says where the table comes from. Without --gpu the GPU columns are empty.

Several images are measured fairly in one run, in a shuffled order of image and case:
  python -m eval container one:latest two:latest --input images --output '{image}/labels' --results
  '{image}/efficiency.csv'

exit codes: 0 all cases ended well; 1 some did not and are named; 2 wrong input, or docker does not work
"""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import ANY_SUFFIX, check_is_folder, check_writable, is_image_name
from eval.label_sets import LABEL_SETS_HELP, find_labels
from eval.measuring.container_process import DISK_LIMIT_MB, ContainerOptions
from eval.measuring.container_run import check_removed, output_name
from eval.measuring.docker_client import check_image
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.efficiency_table import STATUS, efficiency_row
from eval.measuring.run_rules import RUN_RULES
from eval.measuring.sampler import why_no_gpu
from eval.measuring.series import IMAGE_MARK, Series, drop_disk_cache, in_order, short_name
from eval.provenance import beside
from model.labels import FLARE23

HOUR_S = 3600.0
"""Seconds after which a case is stopped, unless somebody says otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add(
        "image",
        nargs="+",
        metavar="IMAGE",
        help="image as docker knows it, leanseg:latest; several run in a shuffled order of image and case",
    )
    add("--input", type=Path, required=True, metavar="DIR", help="folder of images, CASE_0000.nii.gz")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the label maps, made if it is missing; {image} in it becomes the image's name",
    )
    add(
        "--results",
        type=Path,
        required=True,
        metavar="CSV",
        help="table to write, one row per case; {image} in it becomes the image's name",
    )
    _add_limits(parser)
    add(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="run each case N times: its figures are those of the run of median time (default: %(default)s)",
    )
    add(
        "--official-command",
        action="store_true",
        help="run containers exactly as the organisers do, not locked down",
    )
    add(
        "--cold-cache",
        action="store_true",
        help="empty the system's disk cache before each container, where that is allowed (root)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with an interrupted run: cases with a row are not run again",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace existing results and label maps; those of the cases are removed before the first one",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Declare what containers get."""
    add = parser.add_argument
    add(
        "--challenge",
        choices=list(RUN_RULES),
        metavar="NAME",
        help="take labels, memory, time limit and rule of the GPU's peak from a challenge: "
        f"{', '.join(RUN_RULES)}",
    )
    add(
        "--gpu",
        metavar="N",
        help="GPU that containers get and that is measured: index or UUID (default: none)",
    )
    add("--memory", metavar="SIZE", help="memory limit of a container (default: 28g with --gpu, 8g without)")
    add("--memory-swap", metavar="SIZE", help="limit of memory and swap together (default: docker's)")
    add("--cpus", metavar="N", help="processors of a container, like 2 or 1.5 (default: all)")
    add("--limit", type=float, metavar="S", help="seconds after which a case is stopped (default: 3600)")
    add(
        "--disk-limit",
        type=float,
        default=DISK_LIMIT_MB,
        metavar="MIB",
        help="MiB that a case may write into outputs/, above which it is stopped (default: %(default)g)",
    )
    add(
        "--labels",
        metavar="SET",
        help=f"labels that a label map may hold: {LABEL_SETS_HELP} (default: flare23)",
    )
    add(
        "--max-gpu",
        choices=("highest", "stable"),
        help="peak of GPU memory: the highest sample (default), or FLARE22's highest value of more than "
        "2 %% of the samples",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run all cases; the tables are written again after each of them."""
    images = _images(arguments.input)
    if arguments.repeats < 1:
        raise JudgingError(f"--repeats is {arguments.repeats}, must be 1 or more")
    series = [
        Series(
            options=_options(arguments, image),
            images=images,
            output=_for_image(arguments.output, image),
            results=_for_image(arguments.results, image),
            repeats=arguments.repeats,
        )
        for image in _told_apart(arguments)
    ]
    for each in series:
        _make_folder(each.output, IMAGE_MARK in str(arguments.output))
        check_writable(each.written, arguments.force or arguments.resume)
        if each.output.resolve() == arguments.input.resolve():
            raise JudgingError(f"{each.output}: is the input folder; choose another for the label maps")
    for each in series:
        each.meet(check_image(each.options.image))
        if arguments.resume and (unsaid := each.go_on()):
            sys.stderr.write(f"{beside(each.results)}: does not say {' and '.join(unsaid)}; taken as now\n")
    _begin(series, arguments.gpu)
    pairs = in_order(series)
    if done := len(images) * len(series) - len(pairs):
        sys.stderr.write(f"{done} cases were run before\n")
    for number, (each, image) in enumerate(pairs, start=1):
        result = each.run(image, partial(_empty_cache, arguments))
        named = f"{short_name(each.options.image)} " if len(series) > 1 else ""
        sys.stderr.write(f"[{number}/{len(pairs)}] {named}{progress(result)}\n")
        check_removed(result)
    return _summed_up(series)


def _empty_cache(arguments: argparse.Namespace) -> None:
    """Empty the disk cache if that was asked for; where it is not allowed, this is said once."""
    if arguments.cold_cache and (reason := drop_disk_cache()):
        sys.stderr.write(f"{reason}: containers may start from memory\n")
        arguments.cold_cache = False


def _begin(series: Sequence[Series], gpu: str | None) -> None:
    """Make folders, say what cannot be measured, and see to it that containers end with this program."""
    problem = "no GPU was asked for (--gpu)" if gpu is None else why_no_gpu(gpu)
    if problem:
        sys.stderr.write(f"{problem}: the GPU columns stay empty\n")
    for each in series:
        for name in each.remove_left():
            sys.stderr.write(f"removed container {name}, which an earlier run had left behind\n")
        for image in each.changed:
            sys.stderr.write(f"{image}: is another CT than the one that was run; it is run anew\n")
        each.begin()
        if each.options.hides_exit_codes:
            sys.stderr.write(
                f"{each.options.image}: this docker returns 0 for any container that removes itself; exit "
                "codes come from the engine's events\n"
            )


def _summed_up(series: Sequence[Series]) -> int:
    """Say how many cases ended well; returns the exit code."""
    bad = 0
    for each in series:
        well = sum(row[STATUS] == Status.OK for row in each.rows.values())
        bad += len(each.rows) - well
        sys.stdout.write(f"{well} of {len(each.rows)} cases ended well; {each.results}\n")
    return 1 if bad else 0


def _told_apart(arguments: argparse.Namespace) -> list[str]:
    """The images, once it is clear that each has places of its own for its results."""
    names = [short_name(image) for image in arguments.image]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JudgingError(f"two images are called {twice}; tag one of them with another name")
    if len(names) > 1:
        for option in ("output", "results"):
            if IMAGE_MARK not in str(getattr(arguments, option)):
                raise JudgingError(
                    f"--{option} is one place for {len(names)} images; put {IMAGE_MARK} into it, which "
                    "becomes the name of each"
                )
    return list(arguments.image)


def _options(arguments: argparse.Namespace, image: str) -> ContainerOptions:
    rules = RUN_RULES[arguments.challenge] if arguments.challenge else None
    for option in ("memory", "memory_swap"):
        text = getattr(arguments, option)
        if text and not re.fullmatch(r"-1|[1-9]\d*[bkmg]?", text, re.IGNORECASE):
            raise JudgingError(
                f"--{option.replace('_', '-')} is {text}, must be a whole number with its unit, like "
                "8g or 512m"
            )
    if arguments.cpus and not (re.fullmatch(r"\d+(\.\d+)?", arguments.cpus) and float(arguments.cpus) > 0):
        raise JudgingError(
            f"--cpus is {arguments.cpus}, must be a number of processors above 0, like 2 or 1.5"
        )
    limit_s = arguments.limit if arguments.limit is not None else rules.limit_s if rules else HOUR_S
    if limit_s <= 0:
        raise JudgingError(f"--limit is {limit_s:g}, must be more than 0 s")
    if not arguments.disk_limit > 0:
        raise JudgingError(f"--disk-limit is {arguments.disk_limit:g}, must be more than 0 MiB")
    labels = find_labels(arguments.labels) if arguments.labels else rules.labels if rules else FLARE23
    by_device = "8g" if arguments.gpu is None else "28g"
    stable = arguments.max_gpu == "stable" or (
        arguments.max_gpu is None and rules is not None and rules.stable_gpu_peak
    )
    return ContainerOptions(
        image=image,
        memory=arguments.memory or (rules.memory if rules else by_device),
        memory_swap=arguments.memory_swap,
        cpus=arguments.cpus,
        gpu=arguments.gpu,
        official=arguments.official_command,
        limit_s=limit_s,
        disk_limit_mb=arguments.disk_limit,
        labels=labels,
        stable_gpu_peak=stable,
    )


def _images(folder: Path) -> list[Path]:
    check_is_folder(folder, "CTs")
    images = sorted(path for path in folder.iterdir() if is_image_name(path.name) and path.is_file())
    if not images:
        raise JudgingError(f"{folder}: holds no {ANY_SUFFIX} images")
    if odd := [image.name for image in images if not image.name.isprintable()]:
        raise JudgingError(f"{folder / odd[0]}: has a name that cannot be printed; rename it")
    names = [output_name(image) for image in images]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JudgingError(f"{folder}: holds two images whose label map is {twice}; keep one")
    return images


def _for_image(path: Path, image: str) -> Path:
    return Path(str(path).replace(IMAGE_MARK, short_name(image)))


def _make_folder(folder: Path, of_an_image: bool) -> None:
    """Make a folder, and the one of an image that it lies in."""
    above = folder.parent
    if not above.is_dir() and not (of_an_image and above.parent.is_dir()):
        raise JudgingError(f"{above}: no such folder; create it first")
    folder.mkdir(parents=True, exist_ok=True)


def progress(result: CaseEfficiency) -> str:
    """A case in one line: how it ended, its time, its peaks of memory."""
    row = efficiency_row(result)
    figures = [f"{row['Wall_s']} s"]
    if result.times_s:
        figures.append(f"{row['Time_Lowest_s']} to {row['Time_Highest_s']} s in {len(result.times_s)} runs")
    # Samples miss most of a short case; the kernel's own peak misses nothing.
    own_ram = row["OwnRAM_KernelPeak_MB"] or row.get("OwnRAM_Max_MB")
    for label, peak in (("GPU", row.get("MaxGPU_Mem")), ("own RAM", own_ram)):
        if peak:
            figures.append(f"{label} {peak} MB")
    remark = f": {result.remark}" if result.remark else ""
    return f"{result.name}: {result.status}{remark} ({', '.join(figures)})"
