"""Draw a CT with its labels in an axial, a coronal and a sagittal plane, where most structures are visible.

Structures are transparent overlays with a contour of the same colour; the legend shows each one's volume. The
truth, if given, is a dashed white contour, and the legend then shows each structure's Dice coefficient in the
whole volume instead, or, where the truth does not hold it, how much of it was labelled (`+2 mL`). The
patient's right is on the left; yellow ticks at the edges mark the other planes. A stack of few slices, too
thin to be seen from the front, is drawn as up to three axial slices. `--run` adds what was doubted of the
labels, in red, and the name of the bundle that made them.

exit codes: 0 drawn; 2 wrong input, nothing written
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.files import atomic_path, case_of, check_writable, is_image_name
from eval.image_files import read_image
from eval.label_sets import LABEL_SETS_HELP, check_labels, find_labels
from eval.pictures.planes import canonical
from eval.pictures.scene import Scene
from eval.pictures.three_planes import draw
from eval.report.result_accounts import account_in_run, maker_of_run
from eval.scoring.metrics import label_boxes
from eval.volumes import grid_difference, read_labels
from model.arrays import U8
from model.labels import FLARE23, LabelSet

FORMATS = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--image",
        type=Path,
        required=True,
        metavar="CT",
        help="the CT, in HU: a file, or a folder that holds one DICOM series",
    )
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="PRED", help="label map on the CT's grid"
    )
    parser.add_argument("--truth", type=Path, metavar="TRUTH", help="true label map on the CT's grid")
    parser.add_argument(
        "--truth-name",
        default="truth",
        metavar="NAME",
        help="what the legend calls it, where it is no truth, e.g. reference (default: %(default)s)",
    )
    parser.add_argument(
        "--label-set",
        metavar="SET",
        default=FLARE23.name,
        help=f"what the labels mean: {LABEL_SETS_HELP} (default: %(default)s)",
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="JSON",
        help="written by `predict.py --report` when it made PRED; its warnings and doubts of it, and the "
        "bundle's name, are written into the picture",
    )
    parser.add_argument("--title", help="heading (default: name of the CT's file)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PNG", help="picture to write: .png, .pdf or .svg"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing picture")


def run(arguments: argparse.Namespace) -> int:
    """Read the files, check them and draw the picture."""
    output: Path = arguments.output
    if output.suffix.lower() not in FORMATS:
        raise JudgingError(f"{output}: unknown kind of picture; end the name in {', '.join(FORMATS)}")
    check_writable((output,), arguments.force)
    label_set = find_labels(arguments.label_set)
    run: Path | None = arguments.run
    doubts = account_in_run(run, arguments.labels).doubts if run else ()
    ct = canonical(read_image(arguments.image))
    x_mm, y_mm, z_mm = ct.GetSpacing()
    scene = Scene(
        ct_hu=sitk.GetArrayFromImage(ct),
        labels=_labels_on(arguments.labels, ct, label_set),
        truth=_labels_on(arguments.truth, ct, label_set) if arguments.truth else None,
        spacing_zyx_mm=(z_mm, y_mm, x_mm),
        label_set=label_set,
        title=arguments.title or _stem(arguments.image),
        truth_name=arguments.truth_name,
        doubts=doubts,
        maker=maker_of_run(run) if run else "",
    )
    with atomic_path(output) as temporary:
        draw(scene, temporary)
    sys.stdout.write(f"{output}\n")
    return 0


def _labels_on(path: Path, ct: sitk.Image, label_set: LabelSet) -> U8:
    """A label map turned to the canonical orientation and checked against the CT's grid."""
    volume = read_labels(path)
    labels = canonical(volume.as_image())
    difference = grid_difference(labels, ct)
    if difference:
        raise JudgingError(f"{path}: is not on the CT's grid: {difference}; give the label map of this CT")
    check_labels(path, label_boxes(volume.labels), label_set, "choose another --label-set")
    return np.asarray(sitk.GetArrayFromImage(labels), np.uint8)


def _stem(path: Path) -> str:
    return case_of(path.name if is_image_name(path.name) else path.stem)
