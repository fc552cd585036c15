"""Fill in the organs that cases of a data set do not annotate, and write them as a new data set.

`annotated.json` says what each case annotates. Given labels stay as they are; only background becomes an
organ, and only one that the case does not annotate. A lesion is never a pseudo-label. An interrupted call
goes on where it ended.

exit codes: 0 done; 1 failed; 2 wrong call
"""

import argparse
import logging
from pathlib import Path

from model.bundle import load_bundle
from model.label_files import find_label_file
from training.commands.options import add_engine, add_gpus, engine_options, gpu_numbers
from training.data.annotations import ANNOTATED
from training.data.checking import Expected, checked_cases, faults_of_annotations
from training.data.datalist import data_name
from training.data.found_cases import CaseFiles, refuse
from training.data.label_agreement import doubts_of_lesions
from training.data_place import folder_of
from training.pseudo_labels.filling import missing_organs
from training.pseudo_labels.fitting import labels_of, refuse_lacking, refuse_other_modality
from training.pseudo_labels.labelled_folder import CaseToFill, Filling, write_filled
from training.training_errors import DataError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `pseudo-label missing`."""
    parser.add_argument("data", type=Path, help="data-set folder with annotated.json, or a datalist (JSON)")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="what labels the cases")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="data-set folder to write")
    parser.add_argument("--label-set", help="a label set by name or file (default: the data set's own)")
    add_engine(parser)
    add_gpus(parser, "a share of the cases on each")


def run(arguments: argparse.Namespace) -> int:
    """Fill in as the command line says.

    Raises:
        BundleError: the bundle is not usable.
        DataError: the data set is not usable, or of another label set or modality than the bundle; no case
            lacks an organ; or there is something else at `--output`.
        RecipeError: there is no label set.
        TrainingError: the engine could not label a case.
    """
    data: Path = arguments.data
    folder = folder_of(data)
    bundle = load_bundle(arguments.bundle)
    refuse_other_modality(bundle, folder)
    expected = Expected(channels=len(bundle.manifest.inputs), taker=f"bundle {bundle.folder}")
    cases = checked_cases(data, expected)
    if any(case.prepared for case in cases):
        raise DataError(f"{data}: is a prepared store; give the data set that it was made from")
    labels = labels_of(data, arguments.label_set, bundle)
    place = arguments.label_set or str(find_label_file(folder))
    for doubt in doubts_of_lesions(labels, place):
        logger.warning("%s", doubt)
    refuse(faults_of_annotations(data, cases, labels), data)
    missing = {case.name: missing_organs(labels, case.annotated) for case in cases}
    if not any(missing.values()):
        raise DataError(
            f"{data}: no case is partially labelled; say in {folder / ANNOTATED} which structures a case "
            "annotates"
        )
    refuse_lacking(bundle, missing)
    filling = Filling(
        cases=tuple(_to_fill(case, missing[case.name]) for case in cases),
        labels=labels,
        bundle=bundle,
        name=f"{data_name(data)}, organs filled in by {bundle.manifest.name}",
    )
    write_filled(arguments.output, filling, engine_options(arguments), gpu_numbers(arguments))
    return 0


def _to_fill(case: CaseFiles, missing: tuple[str, ...]) -> CaseToFill:
    return CaseToFill(
        name=case.name,
        images=case.images,
        labels=case.labels,
        annotated=case.annotated,
        # What an earlier bundle filled in stays, and is given by nobody all the same.
        given=case.annotated if case.given is None else case.given,
        missing=missing,
    )
