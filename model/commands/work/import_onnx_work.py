"""What `python -m model import onnx` does."""

import argparse
import logging

from model.commands.import_onnx import RESAMPLINGS
from model.commands.packaging_options import packaging_of
from model.importers.bare_onnx import FILE, Told, import_onnx
from model.label_files import find_label_set
from model.manifest.document import Input
from model.manifest.intensity import ClipZscoreIntensity, Intensity, WindowIntensity, ZscoreIntensity
from model.manifest.network import Member
from model.manifest.tiling import Tiling
from model.model_errors import RefusedModelError

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Import as the command line says.

    Raises:
        RefusedModelError: a value is faulty, or the file cannot be run.
        LabelSetError: the label set is not known.
        MeasurementError: a runtime cannot load or run it.
        BundleError: there is something else at `--output`.
    """
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
