"""What a network takes in memory: `python -m inference.runtime.network_memory FILE [--allowed bf16]`.

Prints one JSON object: MiB by way to run it, e.g. {"onnxruntime-fp32": 360, "openvino-bf16": 194}. Whoever
makes a bundle starts this program and writes the answer into the manifest (`Network.memory_mb`), so that
plans need not guess. Each way is measured in a process of its own.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np

from inference.errors import DeviceError
from inference.runtime.backends import Backend, load_library
from inference.runtime.precision import effective_precision
from inference.runtime.process_memory import held_mb, peak_mb
from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from model.manifest.network import Precision
from model.onnx_header import OnnxFileError, read_onnx_header

RUNS = 2
"""The second run shows what is taken anew each time."""
ROOT = Path(__file__).resolve().parents[2]
ON_THE_CPU: tuple[Backend, ...] = ("onnxruntime", "openvino")


def measure_network(path: Path, allowed: Precision, shape: Sequence[int] = ()) -> dict[str, int]:
    """Peak host memory in MiB of loading a network and running windows, by way.

    The libraries' own code not counted.

    Args:
        path: ONNX file.
        allowed: lowest precision that its results allow.
        shape: of its input; only needed where the file leaves sides open.

    Raises:
        DeviceError: it cannot be read, loaded or run.
    """
    measured = {}
    for backend in ON_THE_CPU:
        way = f"{backend}-{effective_precision(backend, allowed)}"
        words = [str(path.resolve()), "--allowed", allowed, "--backend", backend, "--shape", *map(str, shape)]
        call = [sys.executable, "-m", "inference.runtime.network_memory", *words]
        child = subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)
        if child.returncode != 0:
            reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
            raise DeviceError(f"{path.name}: its memory could not be measured ({reason})")
        measured[way] = int(child.stdout)
    return measured


def measure_here(path: Path, backend: Backend, allowed: Precision, shape: Sequence[int] = ()) -> int:
    """The same for one backend, in this process, which must not have run a network before.

    Raises:
        DeviceError: see `measure_network`.
    """
    library = load_library(backend)
    if backend == "openvino":
        library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # Loads the CPU's own code too.
    try:
        sides = tuple(shape) or read_onnx_header(path).inputs[0].shape
    except (OnnxFileError, OSError, IndexError) as error:
        raise DeviceError(f"{path.name}: cannot be read ({error})") from error
    if None in sides:
        raise DeviceError(f"{path.name}: leaves sides of its input open; give them with --shape")
    given = tuple(int(side or 0) for side in sides)
    window = np.zeros(given, np.float32)
    before = held_mb()
    session = open_session(path, backend, Settings(input_shape=given, precision=allowed))
    for _ in range(RUNS):
        session.run(window)
    return ceil(peak_mb() - before)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.runtime.network_memory",
        description="Memory of a network, by way to run it.",
    )
    parser.add_argument("file", type=Path, help="ONNX file")
    parser.add_argument(
        "--allowed", choices=("fp32", "bf16"), default="fp32", help="lowest precision allowed"
    )
    parser.add_argument("--backend", choices=ON_THE_CPU, help="measure this one here and print MiB alone")
    parser.add_argument(
        "--shape", type=int, nargs="*", default=(), help="of the input, where the file leaves it open"
    )
    options = parser.parse_args(argv)
    try:
        if options.backend:
            sys.stdout.write(
                f"{measure_here(options.file, options.backend, options.allowed, options.shape)}\n"
            )
        else:
            sys.stdout.write(f"{json.dumps(measure_network(options.file, options.allowed, options.shape))}\n")
    except DeviceError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
