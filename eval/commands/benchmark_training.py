"""Measure LeanSeg's training loop beside those of nnU-Net v2 and of MONAI Auto3DSeg's SegResNet.

Each peer and LeanSeg train the same network on the same phantoms, with the same patches, batches, kinds of
augmentation and numbers of threads: `python -m training train` as users call it, nnU-Net's own trainer, and
Auto3DSeg's loop made again from MONAI's parts. All loops run in turn, as new processes, round after round.
Each computes in its own precision and in fp32, the peers also in bf16 on the CPU. Tables are written to
training.md in the output folder. Every run is recorded there: a call that was interrupted continues where it
stopped.

nnU-Net runs under an interpreter of its own: `python3 -m venv DIR && DIR/bin/pip install nnunetv2`, then
`--nnunet-python DIR/bin/python`. Without it that comparison is left out.

exit codes: 0 measured; 1 a run failed; 2 wrong input
"""

import argparse
import sys
from pathlib import Path

from eval.benchmark.training_loops.loop_contest import AUTO3DSEG, NNUNET, Contest, check_nnunet
from eval.benchmark.training_loops.loop_results import loops_table, parts_table
from eval.benchmark.training_loops.loop_setting import LoopSetting
from eval.eval_errors import JudgingError
from eval.files import atomic_path

COUNTS = {
    "patch": (64, "side of the patches, voxels; a multiple of 16"),
    "batch": (2, "patches of a step"),
    "width": (32, "channels of the networks at full resolution"),
    "warm-up": (8, "steps before those that count, in each run"),
    "steps": (12, "steps that count, in each run"),
    "rounds": (3, "runs of each loop"),
    "threads": (1, "CPU threads of the network"),
    "workers": (1, "processes or threads that make batches"),
}
"""Options that are counts, with their defaults."""
MULTIPLE = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be")
    add(
        "--against",
        nargs="+",
        choices=(NNUNET, AUTO3DSEG),
        default=[NNUNET, AUTO3DSEG],
        metavar="PEER",
        help=f"{NNUNET}, {AUTO3DSEG} (default: both)",
    )
    add("--nnunet-python", type=Path, metavar="FILE", help="an interpreter that has nnU-Net v2")
    for name, (default, text) in COUNTS.items():
        add(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: %(default)s)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    add("--timeout", type=float, default=3600.0, metavar="S", help="seconds of a run (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Make the runs that are missing, and print the tables.

    Raises:
        JudgingError: the call is wrong, or what all loops need cannot be made.
    """
    setting = _setting(arguments)
    pythons = _pythons(arguments)
    output: Path = arguments.output.resolve()
    if output.exists() and not output.is_dir():
        raise JudgingError(f"{output}: is a file; give a folder with --output")
    output.mkdir(parents=True, exist_ok=True)
    contest = Contest(
        output=output,
        setting=setting,
        pythons=pythons,
        rounds=arguments.rounds,
        timeout_s=arguments.timeout,
        say=_say,
    )
    contest.prepare()
    well = contest.run_all()
    entries = contest.entries()
    text = f"{loops_table(entries)}\n{parts_table(entries)}"
    with atomic_path(output / "training.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0 if well else 1


def _setting(arguments: argparse.Namespace) -> LoopSetting:
    for name in COUNTS:
        if getattr(arguments, name.replace("-", "_")) < 1:
            raise JudgingError(f"--{name}: must be 1 or more")
    if arguments.patch % MULTIPLE:
        raise JudgingError(f"--patch: must be a multiple of {MULTIPLE}, is {arguments.patch}")
    return LoopSetting(
        patch=arguments.patch,
        batch=arguments.batch,
        width=arguments.width,
        warm_up=arguments.warm_up,
        steps=arguments.steps,
        threads=arguments.threads,
        workers=arguments.workers,
        device=arguments.device,
    )


def _pythons(arguments: argparse.Namespace) -> dict[str, str]:
    """Peers that run, in the order asked for, and the interpreter of each."""
    pythons = dict.fromkeys(arguments.against, sys.executable)
    if NNUNET in pythons and arguments.nnunet_python is None:
        needed = f"{NNUNET} needs an interpreter that has it, --nnunet-python FILE"
        if len(pythons) == 1:
            raise JudgingError(f"nothing to measure: {needed}")
        _say(f"{NNUNET}: left out; {needed}")
        del pythons[NNUNET]
    elif NNUNET in pythons:
        check_nnunet(arguments.nnunet_python)
        # Not resolved: a virtual environment's interpreter is a link to another's.
        pythons[NNUNET] = str(arguments.nnunet_python.absolute())
    return pythons


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
