"""What one network takes in memory, measured in a process of its own: `python -m inference.runtime.network_memory FILE BACKEND PRECISION Z Y X`.

Export calls `measure_network` and writes the answer into the manifest (`Network.memory_mb`), so that plans
need not guess.
"""

import subprocess
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np

from inference.errors import DeviceError
from inference.runtime.process_memory import held_mb, peak_mb
from inference.runtime.session import Backend, Precision, Settings, load_library, open_session
from model.manifest import Zyx

RUNS = 2
"""The second run shows what is taken anew each time."""


def measure_network(path: Path, shape: Zyx, backend: Backend, precision: Precision) -> int:
    """Peak host memory in MiB of loading a network and running windows, the library's own code not counted.

    Args:
        path: ONNX file.
        shape: of its window, in the network's own axis order.
        backend: what runs it.
        precision: what to compute in.

    Raises:
        DeviceError: it cannot be loaded or run.
    """
    words = [
        sys.executable,
        "-m",
        "inference.runtime.network_memory",
        str(path.resolve()),
        backend,
        precision,
        *map(str, shape),
    ]
    child = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2]
    )
    if child.returncode != 0:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise DeviceError(f"{path.name}: its memory could not be measured ({reason})")
    return int(child.stdout)


def main(argv: Sequence[str]) -> None:
    """Measure in this process, and print MiB."""
    path, backend, precision = Path(argv[0]), argv[1], argv[2]
    assert backend in ("openvino", "onnxruntime", "cuda"), backend
    assert precision in ("fp32", "bf16", "fp16"), precision
    library = load_library(backend)  # type: ignore[arg-type]
    if backend == "openvino":
        library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # Loads the CPU's own code too.
    window = np.zeros((1, 1, *map(int, argv[3:])), np.float32)
    before = held_mb()
    session = open_session(path, backend, Settings(precision=precision))  # type: ignore[arg-type]
    for _ in range(RUNS):
        session.run(window)
    sys.stdout.write(f"{ceil(peak_mb() - before)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
