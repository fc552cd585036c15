"""What the small network learns: tissues by their attenuation, for which a hundred steps are enough.

A truth follows from every CT, so that a way to run the network can be scored against it: the CT, smoothed,
falls into ranges of Hounsfield units.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

TISSUES_HU = (-250, -20, 90, 220)
"""From where on smoothed voxels are 1 fat, 2 soft tissue, 3 what took up contrast medium, 4 bone."""
SMOOTH_MM = 2.0
"""Standard deviation of the Gaussian."""

MARGIN = 60
"""Voxels of air that are added on each side of a case to learn from: in the windows at the corners of a scan
air prevails, and instance norm makes that another image."""
AIR_HU = -1000.0


def tissues(ct: sitk.Image) -> sitk.Image:
    """Label map of a CT, on its grid: 0 to 4."""
    smooth = sitk.DiscreteGaussian(sitk.Cast(ct, sitk.sitkFloat32), SMOOTH_MM**2)
    labels = sitk.GetImageFromArray(np.digitize(sitk.GetArrayFromImage(smooth), TISSUES_HU).astype(np.uint8))
    labels.CopyInformation(ct)
    return labels


def write_cases(images: Path, data: Path) -> None:
    """A data-set folder of some CTs in a wide field of view, and their tissues.

    Args:
        images: folder of `NAME_0000.nii.gz`.
        data: folder to write, with imagesTr and labelsTr.
    """
    for part in ("imagesTr", "labelsTr"):
        (data / part).mkdir(parents=True, exist_ok=True)
    for path in sorted(images.glob("*_0000.nii.gz")):
        ct = sitk.ConstantPad(sitk.ReadImage(str(path)), [MARGIN] * 3, [MARGIN] * 3, AIR_HU)
        sitk.WriteImage(ct, str(data / "imagesTr" / path.name), useCompression=True)
        name = path.name.replace("_0000.", ".")
        sitk.WriteImage(tissues(ct), str(data / "labelsTr" / name), useCompression=True)


def write_truth(ct: Path, truth: Path) -> None:
    """The tissues of a CT, unless they are there."""
    if not truth.is_file():
        truth.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(tissues(sitk.ReadImage(str(ct))), str(truth), useCompression=True)
