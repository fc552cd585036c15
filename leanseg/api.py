"""LeanSeg from Python, in four lines and a look at what is doubtful.

    bundle = load_bundle(EMBEDDED_BUNDLE)
    volume = read_volume("ct_0000.nii.gz")
    segmented = Predictor(bundle).predict(volume)
    write_labels("ct.nii.gz", segmented.labels, volume.geometry)
    print(segmented.doubts, volume.warnings, segmented.warnings)

One `Predictor` keeps its networks from case to case, and threads may share it: cases are segmented one after
another, by all its threads, however many wait.

What a user can mend is raised as one of these; the message is one line for them:

    LeanSegError        the next four; itself: predict, where a network gave no usable numbers
    ├── InputError      read_volume: the image cannot be read; predict: it is doubtful, with `strict_input`
    ├── BudgetError     predict: the memory budget is too small, and what would do
    ├── DeviceError     Predictor, predict: the device is not there, does not work, or has too little memory
    └── OutputError     write_labels: the file cannot be written
    BundleError         load_bundle: no bundle there, or a faulty or altered one; Predictor: altered since

`BundleError` is a `ValueError`, and no `LeanSegError`. Any other exception is a fault of the call (such as
labels that do not lie on the grid, a `ValueError`) or of the program.

Importing this module puts the folder of the programs first on `sys.path`, once.
"""

import sys

from leanseg.programs import folder, importable

sys.path.insert(0, importable())

from inference.errors import BudgetError, DeviceError, InputError, LeanSegError, OutputError
from inference.imaging.reading import read_volume
from inference.imaging.writing import write_labels
from inference.predictor import Predictor
from model.bundle import load_bundle
from model.model_errors import BundleError

EMBEDDED_BUNDLE = folder() / "bundles" / "default"
"""The bundle that LeanSeg comes with."""

__all__ = [
    "EMBEDDED_BUNDLE",
    "BudgetError",
    "BundleError",
    "DeviceError",
    "InputError",
    "LeanSegError",
    "OutputError",
    "Predictor",
    "load_bundle",
    "read_volume",
    "write_labels",
]
