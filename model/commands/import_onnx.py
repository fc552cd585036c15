"""An ONNX file that maps (batch, channels, three sides) to logits of the same sides.

A file that ends in its sigmoid or softmax is refused: export the network without. Channels, batch, fixed or
open sides, opset and weights in other files are read from the file. What it cannot say is told here: what its
channels mean (--labels, and --activation where their number fits two readings: softmax, background first;
sigmoid, structures alone, each on or off, where --priority says which of several is written), on which voxels
it was trained, and what it makes of intensities:

    window:LOW:HIGH             clip to LOW … HIGH, then linearly to 0 … 1
    zscore:LOW:HIGH:MEAN:STD    clip, subtract MEAN, divide by STD
    zscore-per-image            subtract the image's own mean, divide by its own deviation

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

import argparse
import logging
from pathlib import Path

from model.commands.packaging_options import add_packaging, add_priority, packaging_of
from model.importers.refusals import RefusedModelError
from model.label_files import find_label_set
from model.manifest.document import Input
from model.manifest.intensity import ClipZscoreIntensity, Intensity, WindowIntensity, ZscoreIntensity
from model.manifest.network import Member
from model.manifest.resampling import AreaResampling, CubicResampling, LinearResampling, Resampling
from model.manifest.tiling import Tiling

RESAMPLINGS: dict[str, Resampling] = {
    each.kind: each for each in (LinearResampling(), AreaResampling(), CubicResampling())
}

logger = logging.getLogger(__name__)


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


def run(arguments: argparse.Namespace) -> int:
    """Import as the command line says.

    Raises:
        RefusedModelError: a value is faulty, or the file cannot be run.
        LabelSetError: the label set is not known.
        MeasurementError: a runtime cannot load or run it.
        BundleError: there is something else at `--output`.
    """
    from model.importers.bare_onnx import FILE, Told, import_onnx  # Needs onnx, which --help does not.

    try:
        inputs = tuple(
            Input(name=f"image {number}", modality=arguments.modality, intensity=intensity_of(text))
            for number, text in enumerate(arguments.intensity)
        )
        member = Member(
            file=FILE,
            spacing_zyx_mm=tuple(arguments.spacing_mm),
            window_zyx=tuple(arguments.window),
            axes=arguments.axes,
            tiling=Tiling(overlap=arguments.overlap),
        )
    except RefusedModelError:
        raise
    except ValueError as error:
        raise RefusedModelError(f"{arguments.file}: {error}") from error
    told = Told(
        labels=find_label_set(arguments.labels),
        activation=arguments.activation,
        priority=tuple(arguments.priority),
        inputs=inputs,
        member=member,
        resampling=RESAMPLINGS[arguments.resampling],
        fuse=arguments.fuse,
    )
    bundle = import_onnx(arguments.file, arguments.output, told, packaging_of(arguments))
    logger.info("done: %s", bundle.folder)
    return 0


def intensity_of(text: str) -> Intensity:
    """The scheme that a word of the command line names.

    >>> intensity_of("window:-250:250")
    WindowIntensity(lower=-250.0, upper=250.0, kind='window')

    Raises:
        RefusedModelError: it names none.
    """
    kind, *words = text.split(":")
    try:
        figures = [float(word) for word in words]
        if kind == "window":
            lower, upper = figures
            return WindowIntensity(lower=lower, upper=upper)
        if kind == "zscore":
            lower, upper, mean, std = figures
            return ClipZscoreIntensity(lower=lower, upper=upper, mean=mean, std=std)
        if kind == "zscore-per-image" and not figures:
            return ZscoreIntensity()
    except ValueError as error:
        raise RefusedModelError(f"--intensity {text}: {error}") from error
    known = "window:LOW:HIGH, zscore:LOW:HIGH:MEAN:STD, zscore-per-image"
    raise RefusedModelError(f"--intensity {text}: unknown; known are {known}")
