"""Let a bundle write another label set: `labels BUNDLE --to flare22 --map TABLE`.

TABLE is a JSON file from the bundle's structures, by name or id, to those of the label set, e.g.
{"kidney_left": "left kidney", "5": "liver"}. Without one, structures of the same name are taken, whatever the
order of the words: kidney_left is left kidney. What is not mapped is dropped after the winner is taken.

exit codes: 0 changed; 2 no usable bundle, or a faulty table; then nothing is changed
"""

import argparse
import sys
from pathlib import Path

from model.bundle import load_bundle, replace_manifest
from model.changing.relabelling import read_table, relabelled, same_names, with_output
from model.label_files import find_label_set
from model.model_errors import BundleError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `labels`."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument(
        "--to", required=True, metavar="SET", help="label set: its name, or a file such as labels.json"
    )
    parser.add_argument("--map", type=Path, metavar="TABLE", help="JSON file (default: by equal names)")


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle's manifest anew.

    Raises:
        BundleError: it is no bundle, or the table does not fit it.
        LabelSetError: the label set is not known.
    """
    bundle, to = load_bundle(arguments.bundle), find_label_set(arguments.to)
    output = bundle.manifest.output
    try:
        table = read_table(arguments.map) if arguments.map else same_names(output, to)
        changed = relabelled(output, to, table)
        manifest = with_output(bundle.manifest, changed)
    except BundleError as error:
        where = arguments.map or arguments.bundle
        raise BundleError(str(error) if str(where) in str(error) else f"{where}: {error}") from error
    except ValueError as error:
        raise BundleError(f"{arguments.bundle}: {error}") from error
    replace_manifest(bundle, manifest)
    sys.stdout.write(f"written as {to.name}: {changed.written_in_words}\n")
    if changed.dropped:
        sys.stdout.write(f"channels dropped: {', '.join(changed.dropped)}\n")
    return 0
