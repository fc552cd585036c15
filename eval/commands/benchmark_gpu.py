"""Measure on an NVIDIA GPU: training steps of the published recipes, a run, its export, and predict.py.

Phantoms are drawn, steps of each recipe are measured at its own size, the small network of the FLARE22 winner
is trained for a while and exported, and it and the embedded bundle segment a CT. Prints the section of
docs/benchmarks.md in markdown; --page writes it there, between its markers. Every run is recorded in the
output folder: a call that was interrupted continues where it stopped.

`make gpu-benchmark` calls this in an environment with torch and onnxruntime for CUDA.

exit codes: 0 measured; 1 a run failed, and the section says why; 2 there is no GPU, or wrong input
"""

import argparse
import sys
from pathlib import Path

from eval.benchmark.cold_runs import write_json
from eval.benchmark.gpu_runs import FULL, SMALL, GpuRuns
from eval.benchmark.gpu_section import failures, section
from eval.benchmark.one_gpu import use_gpu
from eval.benchmark.page_markers import check_page, fill_page
from eval.commands.benchmark_options import say

TARGET = "gpu-benchmark"
"""Make target, whose markers the page holds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write the section into this page")
    parser.add_argument("--gpu", default="0", metavar="N", help="index or UUID of the GPU (default: 0)")
    # To try the program where there is no GPU: the smallest sizes, on the CPU.
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the section, write it into the page."""
    gpu = arguments.gpu if arguments.device == "cuda" else None
    if gpu is not None:
        use_gpu(gpu, "the GPU benchmark")
    page: Path | None = arguments.page
    if page is not None:
        # Before hours of work.
        check_page(page, TARGET)
    output: Path = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    sizes = FULL if gpu is not None else SMALL
    found = GpuRuns(output=output, gpu=gpu, sizes=sizes, say=say).collect()
    write_json(output / "gpu-benchmark.json", found)
    text = section(found)
    if page is not None:
        fill_page(page, text, TARGET)
    sys.stdout.write(f"{text}\n")
    failed = failures(found)
    for line in failed:
        say(f"failed: {line}")
    return 1 if failed else 0
