"""Compare a bundle with what it was made from: labels, time and memory of both, each case in a new process.

    verify BUNDLE --against nnunet RESULTS_DIR --images DIR     runs nnU-Net's own predictor (--python)
    verify BUNDLE --against monai MODEL --images DIR            runs MONAI's own classes (--python)
    verify BUNDLE --against labels DIR --images DIR             takes label maps that are there already

The bundle is run twice, in fp32 and as its manifest allows. If the labels of bf16 agree with those of fp32 by
a mean Dice below 0.995, the manifest is set to stay with fp32, whatever both are compared with. Writes
verification.json into the bundle, which `show` sums up, and a picture of the case that agrees least.
--explore also tries what would be faster.

exit codes: 0 compared; 2 no usable bundle, wrong input, or a program that fails
"""

import argparse
import sys
from pathlib import Path

WORK = "model.commands.work.verify_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `verify`."""
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    add(
        "--against",
        nargs=2,
        required=True,
        metavar=("KIND", "PATH"),
        help="nnunet or monai MODEL, or labels FOLDER",
    )
    add("--configuration", metavar="NAME", help="of nnU-Net (default: as imported)")
    add("--images", type=Path, required=True, metavar="DIR", help="CASE_0000.nii.gz, CASE_0001.nii.gz …")
    add("--truth", type=Path, metavar="DIR", help="true label maps CASE.nii.gz, to score all against")
    add(
        "--python",
        type=Path,
        default=Path(sys.executable),
        metavar="FILE",
        help="the Python that has nnunetv2 or monai and nibabel (default: this one)",
    )
    add(
        "--checkpoint",
        metavar="FILE",
        help="as imported (default: the usual one)",
    )
    add(
        "--float32-sums",
        action="store_true",
        help="let nnU-Net sum windows in float32, not in half floats: what differs then is not its rounding",
    )
    add("--explore", action="store_true", help="also try what would be faster")
