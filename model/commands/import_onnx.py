"""An ONNX file that maps (batch, channels, three sides) to logits of the same sides.

A file that ends in its sigmoid or softmax is refused: export the network without. Channels, batch, fixed or
open sides, opset and weights in other files are read from the file. You say what the file cannot: what its
channels mean (--labels), on which voxels it was trained, and what it makes of intensities. If the number of
channels fits two readings, --activation says which it is. With softmax the background comes first; with
sigmoid there are structures alone, each on or off, and --priority says which of several is written.

Intensity schemes:

    window:LOW:HIGH             clip to LOW … HIGH, then linearly to 0 … 1
    zscore:LOW:HIGH:MEAN:STD    clip, subtract MEAN, divide by STD
    zscore-per-image            subtract the image's own mean, divide by its own deviation

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

import argparse
from pathlib import Path

from model.commands.packaging_options import add_packaging, add_priority
from model.manifest.resampling import AreaResampling, CubicResampling, LinearResampling, Resampling

WORK = "model.commands.work.import_onnx_work"

RESAMPLINGS: dict[str, Resampling] = {
    each.kind: each for each in (LinearResampling(), AreaResampling(), CubicResampling())
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `import onnx`."""
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="ONNX file")
    add("--labels", required=True, metavar="SET", help="label set: its name, or a file such as labels.json")
    add(
        "--activation",
        choices=("softmax", "sigmoid"),
        help="how channels become labels (default: as their number says, where it fits one)",
    )
    add_priority(parser)
    add("--spacing-mm", nargs=3, type=float, required=True, metavar=("Z", "Y", "X"), help="voxel size")
    add(
        "--window", nargs=3, type=int, required=True, metavar=("Z", "Y", "X"), help="voxels it sees at a time"
    )
    add(
        "--intensity",
        action="append",
        required=True,
        metavar="SCHEME",
        help="see above; once for each image channel",
    )
    add("--modality", choices=("CT", "MR", "PET", "other"), default="CT", help="(default: %(default)s)")
    add("--axes", default="SPL", help="where the input's axes run to, e.g. RAS (default: %(default)s)")
    add("--overlap", type=float, default=0.5, help="of neighbouring windows (default: %(default)s)")
    add("--resampling", choices=list(RESAMPLINGS), default="linear", help="(default: %(default)s)")
    add("--fuse", choices=("logits", "probabilities"), default="probabilities", help="(default: %(default)s)")
    add_packaging(parser, weights=False)
