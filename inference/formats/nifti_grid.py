"""The grid that a NIfTI header describes, in LPS.

Of the two descriptions, sform and qform, the same one is believed as in ITK: the sform if its code is 1 (scanner) or the
qform has none, and the qform otherwise; with neither, index axes are taken for LPS axes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError
from inference.formats.image_file import mended_geometry, spaced
from inference.formats.nifti_header import LPS_OF_RAS, SCANNER
from inference.geometry import Geometry, Zyx, ZyxMm, skewness


def read_grid(path: Path, header: np.void, size: Zyx) -> tuple[Geometry, tuple[str, ...]]:
    """The grid in LPS, from sform, qform or pixdim, mended where it has to be."""
    warnings: list[str] = []
    pixdim = header["pixdim"].astype(np.float64)[1:4]
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    use_sform = sform and (int(header["sform_code"]) == SCANNER or not qform)
    s_columns, s_origin = _sform(header)
    usable = bool(np.all(s_columns.any(axis=0)) and np.isfinite(s_columns).all() and np.isfinite(s_origin).all())
    if use_sform and qform and not (usable and skewness(_unit(s_columns)) <= 1e-3):
        use_sform = False
        warnings.append("sform is not orthonormal; the qform was taken")
    if use_sform and not usable:
        raise InputError(f"{path}: its header has no usable orientation (sform is singular); export it again")
    if use_sform:
        matrix, origin = _unit(s_columns), s_origin
    elif qform:
        matrix, origin = _qform(header), header["qoffset"].astype(np.float64)
    else:
        matrix, origin = LPS_OF_RAS, np.zeros(3)
        warnings.append("no orientation in the header; axes were taken for left, posterior, superior")
    if sform and qform and usable and not _agree(s_columns, s_origin, header, size):
        warnings.append(f"sform and qform disagree; the {'sform' if use_sform else 'qform'} was taken")
    spacing = _spacing(path, pixdim, np.linalg.norm(s_columns, axis=0) if sform and usable else None, warnings)
    if not use_sform and qform and (pixdim <= 0).any():
        raise InputError(f"{path}: its header has spacing {pixdim.tolist()} and no other orientation than the qform; set a spacing above 0")
    return mended_geometry(path, size, spacing, LPS_OF_RAS @ origin, LPS_OF_RAS @ matrix, warnings)


def _spacing(path: Path, pixdim: NDArray[np.float64], lengths: NDArray[np.float64] | None, warnings: list[str]) -> ZyxMm:
    """Spacing from pixdim, or from the lengths of the sform's columns where pixdim is no spacing."""
    good = np.isfinite(pixdim) & (pixdim > 0)
    if not good.all() and lengths is None:
        raise InputError(f"{path}: its header has spacing {pixdim.tolist()} and nothing to mend it with; set a spacing above 0")
    spacing = pixdim
    if lengths is not None:
        spacing = np.where(good, pixdim, lengths)
        if not good.all():
            warnings.append(
                f"spacing in the header is {pixdim.tolist()}; taken from the sform: {np.round(spacing, 4).tolist()} (x, y, z) mm"
            )
        elif np.any(np.abs(lengths / pixdim - 1) > 0.01):
            warnings.append(f"spacing in the header is {np.round(pixdim, 4).tolist()} but {np.round(lengths, 4).tolist()} in the sform")
    return spaced(path, spacing)


def _sform(header: np.void) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = header["srow"].astype(np.float64)
    return rows[:, :3], rows[:, 3]


def _unit(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(columns / np.linalg.norm(columns, axis=0), np.float64)


def _qform(header: np.void) -> NDArray[np.float64]:
    """Rotation matrix of the quaternion; its third column turned around where pixdim[0] is below 0 (NIfTI-1 standard)."""
    b, c, d = (float(value) for value in header["quatern"])
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn, perhaps with rounding
        length = np.sqrt(b * b + c * c + d * d)
        a, (b, c, d) = 0.0, (b / length, c / length, d / length)
    else:
        a = float(np.sqrt(rest))
    matrix = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    if float(header["pixdim"][0]) < 0:
        matrix[:, 2] *= -1
    return matrix


def _agree(s_columns: NDArray[np.float64], s_origin: NDArray[np.float64], header: np.void, size: Zyx) -> bool:
    """Whether sform and qform put every corner of the image within half a voxel of the same place."""
    q_columns = _qform(header) * header["pixdim"].astype(np.float64)[1:4]
    reach = np.abs(s_columns - q_columns) @ (np.array(size[::-1]) - 1)
    gap = np.abs(s_origin - header["qoffset"].astype(np.float64)) + reach
    return bool(np.all(gap <= 0.5 * np.linalg.norm(s_columns, axis=0).min()))
