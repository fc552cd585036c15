"""Measure training: a recipe beside its accelerated form, or how fast patches are varied.

See `benchmark accelerated --help` and `benchmark augmentation --help`.

exit codes: 0 measured; 1 data or a checkpoint are not usable; 2 wrong call or recipe
"""

import argparse

from training.commands import benchmark_accelerated, benchmark_augmentation

WHAT = {"accelerated": benchmark_accelerated, "augmentation": benchmark_augmentation}


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
