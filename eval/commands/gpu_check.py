"""Check on an NVIDIA GPU, in ten minutes, what LeanSeg promises there, and write a page of what was measured.

What is checked, for the embedded bundle and for those given with --bundle:
  providers         onnxruntime loads CUDA
  networks on CUDA  logits in fp32 and fp16 beside the CPU's; seconds to open, of the first window, of another
  cold start        a first and a second run of predict.py, stage by stage
  GPU memory        over time, and its peak beside the plan with budgets of 2, 3 and 4 GiB
  labels            of whole runs in fp32 and fp16 beside the CPU's in fp32
  container         the image with --gpus, if docker is there
  TensorRT          the networks on it, if it is installed

Each check passes, fails or is skipped, with a line that says why. The page goes to stdout and to
gpu-check.md in the output folder, beside gpu-check.json and all logs; --page also writes it into a page,
between its markers.

exit codes: 0 nothing failed; 1 a check failed; 2 there is no GPU, or wrong input
"""

import argparse
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

from eval.benchmark.cold_runs import write_json
from eval.benchmark.contestants import ROOT
from eval.benchmark.gpu_check.bundle_networks import read_networks
from eval.benchmark.gpu_check.ladder import Ladder
from eval.benchmark.gpu_check.ladder_page import page
from eval.benchmark.gpu_check.rungs import Ending
from eval.benchmark.gpu_check.timed_programs import TimedPrograms
from eval.benchmark.one_gpu import use_gpu
from eval.benchmark.page_markers import check_page, fill_page
from eval.benchmark.pipelines import revision
from eval.benchmark.scans import example_scan
from eval.commands.benchmark_options import output_folder, say
from eval.eval_errors import JudgingError
from eval.files import atomic_path
from eval.machine import processors
from eval.measuring.probes import GpuProbe, NoGpuError

TARGET = "gpu-check"
"""Make target, whose markers a page holds."""
EMBEDDED = ROOT / "bundles" / "default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be")
    add(
        "--bundle",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="bundle that is checked beside the embedded one; may be repeated",
    )
    add(
        "--image",
        type=Path,
        metavar="CT",
        help="CT to run on, or folder with one case (default: the phantom of examples/, made 512×512×120)",
    )
    add(
        "--container",
        default="leanseg:latest",
        metavar="IMAGE",
        help="image as docker knows it (default: %(default)s)",
    )
    add("--gpu", default="0", metavar="N", help="index or UUID of the GPU (default: 0)")
    add(
        "--limit",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds for all; checks that are not come to are skipped (default: 600)",
    )
    add("--page", type=Path, metavar="FILE", help="also write the results into this page")


def run(arguments: argparse.Namespace) -> int:
    """Climb the ladder, print the page, write it."""
    gpu: str = arguments.gpu
    if not arguments.limit > 0:
        raise JudgingError(f"--limit is {arguments.limit:g}, must be more than 0 s")
    use_gpu(gpu, "the check")
    machine = _machine(gpu)
    if arguments.page is not None:
        check_page(arguments.page, TARGET)
    bundles = [read_networks(folder) for folder in (EMBEDDED, *arguments.bundle)]
    names = [bundle.folder.name for bundle in bundles]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise JudgingError(f"two bundles lie in folders called {twice}, which name their files; rename one")
    given: Path | None = arguments.image
    if given is not None and not given.exists():
        raise JudgingError(f"{given}: no such file or folder")
    output = output_folder(arguments.output)
    (output / "runs").mkdir(parents=True, exist_ok=True)
    ladder = Ladder(
        programs=TimedPrograms(folder=output / "runs", gpu=gpu, limit_s=arguments.limit, say=say),
        bundles=bundles,
        ct=example_scan(output / "scan").path if given is None else given.resolve(),
        channels=None if given is not None and given.is_dir() else 1,
        container=arguments.container,
        output=output,
    )
    rungs = []
    for rung in ladder.climb():
        rungs.append(rung)
        say(f"{rung.ending}: {rung.check}, {rung.of}{': ' if rung.said else ''}{rung.said}")
    text = page(machine, rungs)
    write_json(output / "gpu-check.json", {"rungs": [asdict(rung) for rung in rungs]})
    with atomic_path(output / "gpu-check.md") as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    if arguments.page is not None:
        fill_page(arguments.page, text, TARGET)
    sys.stdout.write(f"{text}\n")
    return 1 if any(rung.ending is Ending.FAILED for rung in rungs) else 0


def _machine(gpu: str) -> str:
    """What the ladder is climbed on, in a sentence."""
    try:
        facts = GpuProbe(gpu).facts()
    except NoGpuError as error:
        raise JudgingError(f"the check needs an NVIDIA GPU: {error}") from error
    return (
        f"{facts.name}, {facts.memory_mb:.0f} MiB, driver {facts.driver}; {processors()} processors; "
        f"revision {revision() or 'unknown'}; {date.today().isoformat()}; `make {TARGET}`."
    )
