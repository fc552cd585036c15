"""Segment abdominal CTs: `python predict.py --input DIR_OR_FILE --output DIR`.

The entry point of the container. It only reads the command line and turns errors into one line and an exit
code; the work is in `inference.command`, which is imported after the command line was understood so that
`--help` is instant.

| exit code | meaning |
|---|---|
| 0 | every case was segmented |
| 1 | some cases could not be; each is named with its reason, the others are written |
| 2 | wrong call: arguments, bundle, device, input or output folder, packages that are missing |
| 130, 143, 129 | ended by Ctrl-C, SIGTERM, a closed terminal (SIGHUP); what was written so far is whole |
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import argparse
import io
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from inference.call import EMBEDDED_BUNDLE, WRONG_CALL, Call
from inference.limits import MOST_GPU_MB, MOST_HOST_MB
from inference.option_values import Once, add_statistics, at_least_one
from inference.runtime.cuda_devices import is_cuda
from leanseg.ending import is_ended, until_ended


def parse(argv: Sequence[str] | None = None, program: str = "predict.py") -> Call:
    """Understand the command line; ends the program with exit code 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Segment organs and tumors in abdominal CTs. "
        "Writes one label map (.nii.gz, on the grid of its image) a case.",
        epilog="Exit codes: 0 all cases segmented, 1 some failed, 2 wrong call. Not a medical device.",
    )
    parser.register("action", None, Once)
    _add_places(parser)
    _add_device(parser)
    _add_limits(parser)
    _add_ways(parser)
    _add_results(parser)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    known, left = parser.parse_known_args(argv)
    if left and not any(word.startswith("-") for word in left):  # As of `--input *.nii.gz`.
        more = f" and {len(left) - 1} more" if left[1:] else ""
        remedy = "--input takes one path; of several images give the folder"
        parser.exit(WRONG_CALL, f"{program}: error: {left[0]!r}{more}: {remedy}\n")
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    given = vars(known)
    return Call(**{**given, "format": tuple(given["format"])})


def _add_places(parser: argparse.ArgumentParser) -> None:
    """What is segmented by what, and where results go."""
    add = parser.add_argument
    add(
        "--input",
        type=Path,
        default=Path("inputs"),
        metavar="PATH",
        help="image, DICOM folder, or folder of these (default: %(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=Path("outputs"),
        metavar="DIR",
        help="folder for label maps, made if missing (default: %(default)s)",
    )
    add(
        "--series",
        type=_series,
        metavar="UID|NUMBER",
        help="series to take from a DICOM folder that holds several; one that is not there is refused, with "
        "a list of all (default: the longest original of the modality that the bundle expects)",
    )
    add(
        "--bundle",
        type=Path,
        default=EMBEDDED_BUNDLE,
        metavar="DIR",
        help="model bundle (default: the embedded one)",
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    """What computes."""
    add = parser.add_argument
    add(
        "--device",
        type=_device,
        default="auto",
        metavar="auto|cpu|cuda",
        help="auto: cuda if it works; cuda:1 or cuda:GPU-UUID: one GPU of several (default: %(default)s)",
    )
    add(
        "--threads",
        type=at_least_one,
        default=0,
        metavar="N",
        help="processor threads (default: as many as can run at a time, within a quota if there is one)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """In which precision it computes, and what it may take."""
    add = parser.add_argument
    add(
        "--precision",
        choices=("auto", "fp32"),
        default="auto",
        help="auto: lower than fp32 where the bundle and the device allow it (default: %(default)s)",
    )
    add(
        "--host-memory-mb",
        type=_at_least_one_or_auto,
        default=None,
        metavar="N",
        help="MiB of host memory to stay within (default: auto, what the machine has free and the container "
        f"allows, at most {MOST_HOST_MB})",
    )
    add(
        "--gpu-memory-mb",
        type=at_least_one,
        default=MOST_GPU_MB,
        metavar="N",
        help="MiB of GPU memory to stay within (default: %(default)s)",
    )
    add(
        "--case-timeout",
        type=_seconds,
        default=None,
        metavar="SECONDS",
        dest="case_timeout_s",
        help="end a case that takes longer, as failed, and go on with the next one (default: none)",
    )


def _add_ways(parser: argparse.ArgumentParser) -> None:
    """What is done of a case, and what is left out."""
    add = parser.add_argument
    add(
        "--plan",
        action="store_true",
        help="print what would be run and what it takes, from the images' headers, and stop; not with "
        "--report or --statistics",
    )
    add(
        "--skip-existing",
        action="store_true",
        help="to resume a run: leave out cases that have a label map which is whole and on the image's grid",
    )
    add(
        "--strict-input",
        action="store_true",
        help="refuse images that otherwise only get a warning: no CT, with gaps, or showing too little",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    """What is written beside label maps."""
    add = parser.add_argument
    add(
        "--format",
        action="append",
        choices=("dicom-seg", "rtstruct"),
        default=[],
        help="also write the result as DICOM, referring to the slices of the input; may be repeated",
    )
    add(
        "--template",
        type=Path,
        metavar="SERIES",
        help="for --format: the DICOM series that the image was made from, if the image is no DICOM series",
    )
    add("--report", type=Path, metavar="FILE.json", help="write what was done, stage by stage, as JSON")
    add_statistics(parser)


def main(argv: Sequence[str] | None = None, program: str = "predict.py") -> int:
    """Run the program, whose name in messages is `program`; the value is its exit code."""
    call = parse(argv, program)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    return until_ended(
        lambda: _run(call),
        told="{}; results written so far are whole",
    )


def _run(call: Call) -> int:
    try:
        from inference.command import run
    except ModuleNotFoundError as error:
        if is_ended():
            raise
        remedy = "run `make .venv`, then .venv/bin/python predict.py"
        print(f"error: {error.name} is not installed for {sys.executable}; {remedy}", file=sys.stderr)  # noqa: T201 - no console exists here
        return WRONG_CALL
    return run(call)


def _at_least_one_or_auto(text: str) -> int | None:
    return None if text == "auto" else at_least_one(text)


def _series(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give the series' UID or number, or leave the option out")
    return text.strip()


def _device(text: str) -> str:
    if text not in ("auto", "cpu") and not is_cuda(text):
        raise argparse.ArgumentTypeError(f"{text!r}: must be auto, cpu, cuda, cuda:NUMBER or cuda:GPU-UUID")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of seconds, above 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
