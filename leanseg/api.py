"""LeanSeg from Python, in four lines.

    bundle = load_bundle(EMBEDDED_BUNDLE)
    volume = read_volume(Path("ct_0000.nii.gz"))
    segmented = Predictor(bundle).predict(volume)
    write_labels(Path("ct.nii.gz"), segmented.labels, volume.geometry)

Importing this module puts the folder of the programs first on `sys.path`, once.
"""

import sys

from leanseg.programs import folder, importable

sys.path.insert(0, importable())

from inference.imaging.reading import read_volume
from inference.imaging.writing import write_labels
from inference.predictor import Predictor
from model.bundle import load_bundle

EMBEDDED_BUNDLE = folder() / "bundles" / "default"
"""The bundle that LeanSeg comes with."""

__all__ = ["EMBEDDED_BUNDLE", "Predictor", "load_bundle", "read_volume", "write_labels"]
