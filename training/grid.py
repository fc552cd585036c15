"""From files to a recipe's grid: canonical orientation (z, y, x = superior, posterior, left), spacing, intensity."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from model.manifest import ZyxMm
from training.config import Recipe
from training.errors import DataError


def read_on_grid(image_path: Path, labels_path: Path, recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image, normalised to [0, 1], and label ids on the recipe's grid; both (z, y, x).

    Raises:
        DataError: a file cannot be read, or image and labels differ in size.
    """
    image, labels = _read(image_path), _read(labels_path)
    if image.GetSize() != labels.GetSize():
        raise DataError(f"{labels_path}: size {labels.GetSize()} differs from its image's {image.GetSize()}")
    lower, upper = recipe.hu_window
    hu = _resample(sitk.Cast(image, sitk.sitkFloat32), recipe.spacing_zyx_mm, linear=True)
    ids = _resample(labels, recipe.spacing_zyx_mm, linear=False)
    return np.clip((hu - lower) / (upper - lower), 0, 1), ids.astype(np.uint8)


def _read(path: Path) -> sitk.Image:
    try:
        return sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    except RuntimeError as error:
        raise DataError(f"{path}: cannot be read as an image") from error


def _resample(image: sitk.Image, spacing_zyx_mm: ZyxMm, *, linear: bool) -> NDArray[np.float32]:
    wanted = spacing_zyx_mm[::-1]
    size = [max(1, round(n * s / w)) for n, s, w in zip(image.GetSize(), image.GetSpacing(), wanted, strict=True)]
    if linear:
        image = sitk.BinShrink(image, [max(1, int(w / s + 1e-3)) for s, w in zip(image.GetSpacing(), wanted, strict=True)])
    shift = [(w - s) / 2 for s, w in zip(image.GetSpacing(), wanted, strict=True)]
    origin = image.TransformContinuousIndexToPhysicalPoint([d / s for d, s in zip(shift, image.GetSpacing(), strict=True)])
    method = sitk.sitkLinear if linear else sitk.sitkNearestNeighbor
    out = sitk.Resample(image, size, sitk.Transform(), method, origin, wanted, image.GetDirection(), 0, image.GetPixelID(), True)
    return sitk.GetArrayFromImage(out)
