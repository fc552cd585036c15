"""Measure speed beside that of others: of the metrics, of whole pipelines, of whole volumes.

See `benchmark metrics --help`, `benchmark inference --help` and `benchmark whole-volume --help`. The first
two need packages beyond those of `make .venv`: `make training` sets up torch, MONAI and onnx for `inference`;
`make test` sets up surface-distance for `metrics`.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

from eval.commands import benchmark_inference, benchmark_metrics, benchmark_whole_volume

PARTS = {
    "metrics": benchmark_metrics,
    "inference": benchmark_inference,
    "whole-volume": benchmark_whole_volume,
}
