"""Measure speed beside that of others: of the metrics, of whole pipelines, of training loops; all on a GPU.

See `benchmark metrics --help`, `benchmark inference --help`, `benchmark training --help` and `benchmark gpu
--help`. They need packages beyond those of `make .venv`: `make training` sets up torch, MONAI and onnx for
`inference` and `training`; `make test` sets up surface-distance for `metrics`; `make gpu-benchmark` sets up
what `gpu` needs, and runs it.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import benchmark_gpu, benchmark_inference, benchmark_metrics, benchmark_training

PARTS = {
    "metrics": benchmark_metrics,
    "inference": benchmark_inference,
    "training": benchmark_training,
    "gpu": benchmark_gpu,
}
