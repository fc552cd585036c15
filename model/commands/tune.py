"""Change how a bundle is run, e.g. for speed: `tune BUNDLE --set tiling.overlap=0.25`.

Fields are those of docs/manifest.md: tiling and window (of every member), preprocessing, restoration,
postprocessing and fusion. What `verify` found before no longer counts; `verify --explore` says what a change
costs.

exit codes: 0 changed; 2 no usable bundle, or a faulty field; then nothing is changed
"""

import argparse
import sys
from pathlib import Path

from model.bundle import load_bundle, replace_manifest
from model.changing.tuning import tuned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `tune`."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        required=True,
        metavar="FIELD=VALUE",
        help="field and its value in JSON; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle's manifest anew.

    Raises:
        BundleError: it is no bundle, or a field is faulty.
    """
    bundle = load_bundle(arguments.bundle)
    changed = replace_manifest(bundle, tuned(bundle.manifest, arguments.overrides))
    sys.stdout.write(f"{changed.folder}: {', '.join(arguments.overrides)}\n")
    return 0
