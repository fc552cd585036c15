"""How much memory a network takes by each way to run it, measured by the engine's own program.

The engine knows which ways there are on a machine, and only a fresh process shows what a network takes. So
the program is started, and nothing is imported:

    python -m inference.runtime.network_memory FILE --allowed bf16
    {"openvino-bf16": 194, "onnxruntime-fp32": 360}
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from model.manifest.network import Precision

ROOT = Path(__file__).resolve().parents[2]
"""Folder in which `inference` can be found as a package."""
PROGRAM: Sequence[str] = (sys.executable, "-m", "inference.runtime.network_memory")


class MeasurementError(ValueError):
    """A network's memory could not be measured. One line for the user."""


def measure_memory(path: Path, allowed: Precision, shape: Sequence[int] = ()) -> dict[str, int]:
    """Peak memory of loading a network and running windows, for the manifest (`Network.memory_mb`).

    Args:
        path: ONNX file.
        allowed: lowest precision in which it may be computed.
        shape: of its input; only needed where the file leaves sides open.

    Returns:
        MiB by way to run it, e.g. `openvino-bf16`.

    Raises:
        MeasurementError: the program failed, or its answer is not understood.
    """
    words = [*PROGRAM, str(path.resolve()), "--allowed", allowed]
    if shape:
        words += ["--shape", *map(str, shape)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
        raise MeasurementError(f"{path.name}: its memory could not be measured ({said})")
    try:
        found = json.loads(ran.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found or not all(type(mb) is int for mb in found.values()):
        shown = " ".join(ran.stdout.split())[:80]
        raise MeasurementError(f"{path.name}: its memory could not be measured (answer was {shown!r})")
    return found
