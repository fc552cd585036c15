"""What a network takes in memory, run in one way in this process, which has run none before.

    python -m inference.runtime.network_memory FILE --backend openvino --allowed bf16
    {"openvino-bf16": 194}

It prints MiB by the way that this processor makes of backend and precision. Whoever makes a bundle
(`model.onnx_export.memory`) starts it once for each backend and writes the answers into the manifest
(`Network.memory_mb`), so that plans need not guess.
"""

import argparse
import json
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
ON_THE_CPU: tuple[Backend, ...] = ("onnxruntime", "openvino")


def measure_here(path: Path, backend: Backend, allowed: Precision, shape: Sequence[int] = ()) -> int:
    """Peak host memory in MiB of loading a network and running windows, the library's own code not counted.

    Args:
        path: ONNX file.
        backend: what runs it.
        allowed: lowest precision that its results allow.
        shape: of its input; only needed where the file leaves sides open.

    Raises:
        DeviceError: it cannot be read, loaded or run.
    """
    library = load_library(backend)
    if backend == "openvino":
        library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # Loads the CPU's own code too.
    window = np.zeros(tuple(shape) or _stated_shape(path), np.float32)
    before = held_mb()
    session = open_session(path, backend, Settings(input_shape=window.shape, precision=allowed))
    for _ in range(RUNS):
        session.run(window)
    return ceil(peak_mb() - before)


def _stated_shape(path: Path) -> tuple[int, ...]:
    """Of a network's input, as its file says.

    Raises:
        DeviceError: it cannot be read, or does not say.
    """
    try:
        sides = read_onnx_header(path).inputs[0].shape
    except (OnnxFileError, OSError, IndexError) as error:
        raise DeviceError(f"{path}: cannot be read ({error})") from error
    known = tuple(side for side in sides if side is not None)
    if len(known) < len(sides):
        raise DeviceError(f"{path}: leaves sides of its input open; give them with --shape")
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.runtime.network_memory",
        description="Memory of a network, run in one way, in MiB.",
    )
    parser.add_argument("file", type=Path, help="ONNX file")
    parser.add_argument("--backend", choices=ON_THE_CPU, required=True, help="what runs it")
    parser.add_argument(
        "--allowed", choices=("fp32", "bf16"), default="fp32", help="lowest precision allowed"
    )
    parser.add_argument(
        "--shape", type=int, nargs="*", default=(), help="of the input, where the file leaves it open"
    )
    options = parser.parse_args(argv)
    try:
        mb = measure_here(options.file, options.backend, options.allowed, options.shape)
    except DeviceError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    way = f"{options.backend}-{effective_precision(options.backend, options.allowed)}"
    sys.stdout.write(f"{json.dumps({way: mb})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
