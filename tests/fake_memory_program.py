"""Stands in for `python -m inference.runtime.network_memory`: answers at once and notes its call."""

import json
import sys

if __name__ == "__main__":
    path, option, allowed, *_ = sys.argv[1:]
    assert path.endswith(".onnx")
    assert option == "--allowed"
    sys.stdout.write(json.dumps({f"openvino-{allowed}": 194, "onnxruntime-fp32": 360}))
