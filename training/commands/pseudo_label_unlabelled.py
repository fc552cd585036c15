"""Label cases that have no labels at all, and write them as a data set: one round of pseudo-labels.

Labels of lesions are left out: a lesion is never a pseudo-label, and `annotated.json` says that none is
annotated. An interrupted call goes on where it ended.

exit codes: 0 done; 1 failed; 2 wrong call
"""

import argparse
import logging
from pathlib import Path

from model.bundle import MANIFEST, load_bundle
from training.commands.options import add_engine, add_gpus, engine_options, gpu_numbers
from training.data.datalist import data_name
from training.data.label_agreement import doubts_of_lesions
from training.data.unlabelled import image_folder, unlabelled_cases
from training.pseudo_labels.fitting import organs_found, refuse_other_modality
from training.pseudo_labels.labelled_folder import CaseToFill, Filling, write_filled
from training.training_errors import DataError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `pseudo-label unlabelled`."""
    parser.add_argument(
        "images", type=Path, help="folder of images, or one that holds imagesTr, images or imagesTs"
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="what labels the cases")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="data-set folder to write")
    add_engine(parser)
    add_gpus(parser, "a share of the cases on each")


def run(arguments: argparse.Namespace) -> int:
    """Label as the command line says.

    Raises:
        BundleError: the bundle is not usable.
        DataError: the images are not usable, or of another modality than the bundle; or there is something
            else at `--output`.
        TrainingError: the engine could not label a case.
    """
    bundle = load_bundle(arguments.bundle)
    folder: Path = arguments.images
    cases = unlabelled_cases(folder, len(bundle.manifest.inputs))
    refuse_other_modality(bundle, folder, *([folder.parent] if image_folder(folder) == folder else []))
    organs = organs_found(bundle)
    if not organs:
        raise DataError(
            f"{bundle.folder}: finds lesions only, which are no pseudo-labels; give a bundle of organs"
        )
    labels = bundle.manifest.output.as_label_set()
    for doubt in doubts_of_lesions(labels, f"{bundle.folder / MANIFEST}: output"):
        logger.warning("%s", doubt)
    filling = Filling(
        cases=tuple(
            CaseToFill(
                name=case.name,
                images=case.images,
                labels=None,
                annotated=(),
                given=(),
                missing=organs,
            )
            for case in cases
        ),
        labels=labels,
        bundle=bundle,
        name=f"{data_name(folder)}, labelled by {bundle.manifest.name}",
    )
    write_filled(arguments.output, filling, engine_options(arguments), gpu_numbers(arguments))
    return 0
