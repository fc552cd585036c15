"""Measure speed beside that of others: of the metrics, of whole pipelines, of training loops.

See `benchmark metrics --help`, `benchmark inference --help` and `benchmark training --help`. They need
packages beyond those of `make .venv`: `make training` sets up torch, MONAI and onnx for `inference` and
`training`; `make test` sets up surface-distance for `metrics`.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import benchmark_inference, benchmark_metrics, benchmark_training

PARTS = {"metrics": benchmark_metrics, "inference": benchmark_inference, "training": benchmark_training}
