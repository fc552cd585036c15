"""One network on a GPU beside the CPU, alone: does the library load, do logits agree, how long does it take.

python -m eval.benchmark.gpu_check.network_program FILE --on CUDAExecutionProvider --reference FILE
    --shape 1 1 96 96 96 --json FILE

The sessions are set up as `predict.py` sets them up. Parity is judged as export judges it: on a window of
noise and on a smooth one, logits relative to the largest, and the most probable channel of each voxel.
"""

import argparse
import ctypes
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eval.benchmark.cold_runs import Json, write_json
from model.arrays import F32

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
TENSORRT_LIBRARY = "libnvinfer.so.10"
RUNS = 5
"""Windows that are timed after the first, of which the fastest counts."""
COARSE = 8
"""Voxels of a side of the blocks that the smooth window is made of."""
MISSING = 3
"""Exit code where the library is not installed: nothing failed, there is nothing to check."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write what was found; 1 if a session cannot be opened, 3 if a library is not installed."""
    parser = argparse.ArgumentParser(prog="python -m eval.benchmark.gpu_check.network_program")
    parser.add_argument("network", type=Path, metavar="FILE")
    parser.add_argument("--on", choices=(CUDA, TENSORRT, CPU), required=True, help="provider that is checked")
    parser.add_argument("--reference", type=Path, required=True, help="fp32 file that the CPU computes")
    parser.add_argument("--shape", type=int, nargs="+", required=True)
    parser.add_argument("--fp16", action="store_true", help="FILE is in half precision")
    parser.add_argument("--unit-scaled", action="store_true", help="input lies between 0 and 1")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args(argv)
    start_s = time.perf_counter()
    import onnxruntime

    available = onnxruntime.get_available_providers()
    found: Json = {"version": onnxruntime.__version__, "available": available}
    if arguments.on not in available:
        return _missing(f"onnxruntime {onnxruntime.__version__} is installed without {arguments.on}")
    if arguments.on != CPU:
        onnxruntime.preload_dlls()
    if arguments.on == TENSORRT and not _tensorrt_loads():
        return _missing(f"TensorRT is not installed ({TENSORRT_LIBRARY} does not load)")
    found["import_s"] = time.perf_counter() - start_s
    start_s = time.perf_counter()
    session = _session(onnxruntime, arguments.network, arguments.on, half=arguments.fp16)
    found["open_s"], found["used"] = time.perf_counter() - start_s, session.get_providers()
    # onnxruntime goes on with the CPU when a provider's libraries do not load.
    if arguments.on not in found["used"]:
        sys.stderr.write(
            f"error: {arguments.on} does not load: its libraries or the driver do not fit onnxruntime "
            f"{onnxruntime.__version__}\n"
        )
        return 1
    run, reference = _runner(session), _runner(_session(onnxruntime, arguments.reference, CPU))
    windows = _windows(tuple(arguments.shape), unit_scaled=arguments.unit_scaled)
    found |= _times(run, windows[0])
    found |= _parity(run, reference, windows)
    write_json(arguments.json, found)
    return 0


def _missing(what: str) -> int:
    sys.stderr.write(f"{what}\n")
    return MISSING


def _tensorrt_loads() -> bool:
    """Whether TensorRT is there: as a Python package, whose import loads the libraries, or in the system."""
    if importlib.util.find_spec("tensorrt") is not None:
        importlib.import_module("tensorrt")
        return True
    try:
        ctypes.CDLL(TENSORRT_LIBRARY)
    except OSError:
        return False
    return True


def _session(onnxruntime: ModuleType, path: Path, on: str, *, half: bool = False) -> Any:  # noqa: ANN401 - an InferenceSession
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers: list[Any] = [CPU]
    if on != CPU:
        # TensorFloat-32, on by default, rounds what convolutions multiply to 10 bits.
        cuda = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
        providers.insert(0, (CUDA, cuda if half else {**cuda, "use_tf32": "0"}))
    if on == TENSORRT:
        providers.insert(0, (TENSORRT, {"trt_fp16_enable": str(int(half))}))
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)


def _runner(session: Any) -> Callable[[F32], F32]:  # noqa: ANN401 - an InferenceSession
    given = session.get_inputs()[0]
    kind = np.float16 if given.type == "tensor(float16)" else np.float32
    return lambda window: np.asarray(session.run(None, {given.name: window.astype(kind)})[0], np.float32)


def _windows(shape: tuple[int, ...], *, unit_scaled: bool) -> tuple[F32, F32]:
    """Noise, and blocks of one value each with a little noise, as organs have it; from 0 to 1 or about 0."""
    rng = np.random.default_rng(0)
    noise = rng.random(shape, np.float32)
    coarse = rng.random((*shape[:2], *(-(-side // COARSE) for side in shape[2:])), np.float32)
    for axis in (2, 3, 4):
        coarse = coarse.repeat(COARSE, axis)
    blocks = coarse[..., : shape[2], : shape[3], : shape[4]] * 0.9 + 0.1 * rng.random(shape, np.float32)
    noise, blocks = (window if unit_scaled else 4 * window - 2 for window in (noise, blocks))
    return noise, np.ascontiguousarray(blocks)


def _times(run: Callable[[F32], F32], window: F32) -> Json:
    """Seconds of the first window, in which libraries choose and load kernels, and of the fastest after."""
    taken = []
    for _ in range(RUNS + 1):
        start_s = time.perf_counter()
        run(window)
        taken.append(time.perf_counter() - start_s)
    return {"first_window_s": taken[0], "window_s": min(taken[1:])}


def _parity(run: Callable[[F32], F32], reference: Callable[[F32], F32], windows: Sequence[F32]) -> Json:
    """How closely logits agree over all windows, not finite if one is not.

    The largest difference of any logit, relative to the largest or to 1, and the least share of voxels whose
    most probable channel is the same.
    """
    differences, agreements = [], []
    for window in windows:
        ours, theirs = run(window), reference(window)
        with np.errstate(invalid="ignore"):
            differences.append(float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max())))
        agreements.append(float((ours.argmax(1) == theirs.argmax(1)).mean()))
    # np.max and not max: a NaN anywhere must come out.
    return {"largest_difference": float(np.max(differences)), "agreement": min(agreements)}


if __name__ == "__main__":
    sys.exit(main())
