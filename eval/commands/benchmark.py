"""Measure speed: metrics, whole pipelines and training loops beside others; whole volumes; all on a GPU.

See `benchmark metrics --help` and so on. Some need packages beyond those of `make .venv`: `make training`
sets up torch, MONAI and onnx for `inference` and `training`; `make test` sets up surface-distance for
`metrics`; `make gpu-benchmark` sets up what `gpu` needs, and runs it.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import (
    benchmark_gpu,
    benchmark_inference,
    benchmark_metrics,
    benchmark_peers,
    benchmark_training,
    benchmark_whole_volume,
)

PARTS = {
    "metrics": benchmark_metrics,
    "inference": benchmark_inference,
    "peers": benchmark_peers,
    "training": benchmark_training,
    "whole-volume": benchmark_whole_volume,
    "gpu": benchmark_gpu,
}
