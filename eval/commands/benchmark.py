"""Measure speed: of the metrics and of whole pipelines beside that of others, or of all on a GPU.

See `benchmark metrics --help`, `benchmark inference --help` and `benchmark gpu --help`. They need packages
beyond those of `make .venv`: `make training` sets up torch, MONAI and onnx for `inference`; `make test` sets
up surface-distance for `metrics`; `make gpu-benchmark` sets up what `gpu` needs, and runs it.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import benchmark_gpu, benchmark_inference, benchmark_metrics

PARTS = {"metrics": benchmark_metrics, "inference": benchmark_inference, "gpu": benchmark_gpu}
