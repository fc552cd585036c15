"""Time of a network alone for one window, run as `predict.py` runs it: no pipeline can be faster.

python -m eval.benchmark.network_time --onnx FILE --backend openvino --precision fp32 --runs 10
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.arrays import F32


def main(argv: Sequence[str] | None = None) -> int:
    """Print `{"seconds": …}`, the time of the fastest run.

    The first run does not count, and every disturbance makes a run slower.
    """
    parser = argparse.ArgumentParser(
        prog="python -m eval.benchmark.network_time", description="Time a network alone."
    )
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--backend", choices=("openvino", "onnxruntime"), required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args(argv)
    run = _openvino(arguments) if arguments.backend == "openvino" else _onnxruntime(arguments)
    taken = []
    for _ in range(arguments.runs + 1):
        start_s = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start_s)
    sys.stdout.write(json.dumps({"seconds": min(taken[1:])}) + "\n")
    return 0


def _openvino(arguments: argparse.Namespace) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if arguments.precision == "bf16" else "f32",
    }
    if arguments.threads:
        options["INFERENCE_NUM_THREADS"] = arguments.threads
    compiled = core.compile_model(core.read_model(arguments.onnx), "CPU", options)
    request = compiled.create_infer_request()
    window = _noise(list(compiled.input(0).shape))
    return lambda: request.infer({0: window}, share_inputs=True)


def _onnxruntime(arguments: argparse.Namespace) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if arguments.threads:
        options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(
        arguments.onnx.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    given = session.get_inputs()[0]
    window = _noise(given.shape)
    return lambda: session.run(None, {given.name: window})


def _noise(shape: list[int]) -> F32:
    return np.random.default_rng(0).random(shape, np.float32)


if __name__ == "__main__":
    sys.exit(main())
