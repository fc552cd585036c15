"""Measure speed beside that of others: of the metrics, or of whole pipelines.

See `benchmark metrics --help` and `benchmark inference --help`. Both need packages beyond those of `make
.venv`: `make training` sets up torch, MONAI and onnx for `inference`; `make test` sets up surface-distance
for `metrics`.

exit codes: 0 measured; 1 values differ, or a run failed; 2 wrong input
"""

import argparse

from eval.commands import benchmark_inference, benchmark_metrics

WHAT = {"metrics": benchmark_metrics, "inference": benchmark_inference}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    subparsers = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, module in WHAT.items():
        summary = (module.__doc__ or "").splitlines()[0].rstrip(".")
        formatter = argparse.RawDescriptionHelpFormatter
        module.add_arguments(
            subparsers.add_parser(name, help=summary, description=module.__doc__, formatter_class=formatter)
        )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the figures."""
    return int(WHAT[arguments.what].run(arguments))
