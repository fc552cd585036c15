"""Stands in for `python -m inference.runtime.network_memory`: answers at once and notes its call."""

import json
import sys

if __name__ == "__main__":
    path, _, backend, _, allowed, *_ = sys.argv[1:]
    assert path.endswith(".onnx")
    assert sys.argv[2:6] == ["--backend", backend, "--allowed", allowed]
    answers = {"openvino": {f"openvino-{allowed}": 194}, "onnxruntime": {"onnxruntime-fp32": 360}}
    sys.stdout.write(json.dumps(answers[backend]))
