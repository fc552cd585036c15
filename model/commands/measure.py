"""Measure on this machine what a bundle's networks take in memory, and write it into the manifest.

Where the manifest does not say, plans count from a network's graph, and are off by up to a quarter. Each
network is loaded and run in a process of its own, in each way that this machine has; figures of other ways
stay.

exit codes: 0 measured; 1 a network cannot be run here; 2 no usable bundle; then nothing is changed
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from model.bundle import load_bundle, replace_manifest
from model.onnx_export.memory import with_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `measure`."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle's manifest anew.

    Raises:
        BundleError: it is no bundle.
        MeasurementError: a network cannot be loaded or run on this machine.
    """
    bundle = load_bundle(arguments.bundle)
    manifest, channels = bundle.manifest, len(bundle.manifest.inputs)
    region = manifest.localization
    changed = replace_manifest(
        bundle,
        replace(
            manifest,
            members=tuple(with_memory(each, bundle.path_of(each), channels) for each in manifest.members),
            localization=region and with_memory(region, bundle.path_of(region), channels),
        ),
    )
    for network in changed.manifest.networks().values():
        figures = ", ".join(f"{way} {mb} MiB" for way, mb in (network.memory_mb or {}).items())
        sys.stdout.write(f"{network.file}: {figures}\n")
    return 0
