"""Measure speed beside that of others: of the metrics, or of whole pipelines.

See `benchmark metrics --help` and `benchmark inference --help`. Both need packages beyond those of `make
.venv`: `make training` sets up torch, MONAI and onnx for `inference`; `make test` sets up surface-distance
for `metrics`.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import benchmark_inference, benchmark_metrics

PARTS = {"metrics": benchmark_metrics, "inference": benchmark_inference}
