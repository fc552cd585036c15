"""The grid that a NIfTI header describes, in LPS.

Of the two descriptions, sform and qform, the same one is believed as in ITK: the sform if its code is 1
(scanner) or the qform has none, and the qform otherwise; with neither, index axes are taken for LPS axes.
Spacing is that of `pixdim`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.errors import InputError
from inference.geometry import Geometry, skewness
from inference.imaging.formats.image_file import mended_geometry, spaced
from inference.imaging.formats.nifti_header import LPS_OF_RAS, SCANNER
from model.arrays import F64, Zyx

MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""Metres and micrometres; everything else is taken for millimetres."""
SKEWED = 1e-3
"""From this skewness on ITK does not believe an sform."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Form:
    """The grid in RAS millimetres: axes of length 1 as columns, a voxel's edges, the first voxel."""

    axes: F64
    lengths: F64
    origin: F64

    @property
    def is_usable(self) -> bool:
        return bool(
            np.isfinite(self.axes).all() and np.isfinite(self.origin).all() and np.all(self.lengths > 0)
        )

    @property
    def is_straight(self) -> bool:
        return self.is_usable and skewness(self.axes) <= SKEWED


@np.errstate(all="ignore")  # a damaged header may hold any number
def read_grid(path: Path, header: np.void, size: Zyx) -> tuple[Geometry, tuple[str, ...]]:
    """The grid in LPS from sform, qform or pixdim, mended where it has to be; and warnings.

    Raises:
        InputError: the header has no usable spacing or orientation.
    """
    warnings: list[str] = []
    unit = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    pixdim = header["pixdim"][1:4].astype(np.float64) * unit
    sform = _sform(header, unit) if int(header["sform_code"]) > 0 else None
    qform = _qform(header, pixdim, unit) if int(header["qform_code"]) > 0 else None
    if sform and qform and sform.is_straight and qform.is_usable and not _agree(sform, qform, size):
        warnings.append("sform and qform disagree")
    form = _chosen(path, sform, qform, prefer_sform=int(header["sform_code"]) == SCANNER, warnings=warnings)
    spacing = _spacing(path, pixdim, sform if form is sform else None, warnings)
    geometry, notes = mended_geometry(
        path, size, spaced(path, spacing), LPS_OF_RAS @ form.origin, LPS_OF_RAS @ form.axes, warnings
    )
    return geometry, notes


def has_usable_spacing(header: np.void) -> bool:
    """Whether `pixdim` is a spacing. A header where it is none is not written again: ITK reads 1 mm there."""
    pixdim = header["pixdim"][1:4].astype(np.float64)
    return bool(np.all(np.isfinite(pixdim) & (pixdim > 0)))


def _chosen(
    path: Path, sform: _Form | None, qform: _Form | None, *, prefer_sform: bool, warnings: list[str]
) -> _Form:
    if sform is None and qform is None:
        warnings.append("no orientation in the header; axes were taken for left, posterior, superior")
        return _Form(axes=LPS_OF_RAS, lengths=np.ones(3), origin=np.zeros(3))
    if sform is not None and (qform is None or (prefer_sform and sform.is_straight)):
        if not sform.is_usable:
            raise InputError(
                f"{path}: its header has no usable orientation (the sform is singular); export it again"
            )
        chosen, name = sform, "sform"
    else:
        assert qform is not None, "one of the two is there"
        chosen, name = qform, "qform"
        if prefer_sform:
            warnings.append("the sform is not usable")
    if warnings:
        warnings.append(f"{warnings.pop()}; the {name} was taken")
    return chosen


def _spacing(path: Path, pixdim: F64, sform: _Form | None, warnings: list[str]) -> F64:
    """Spacing (x, y, z) from pixdim; where that is none, from the sform if it is the one believed."""
    good = np.isfinite(pixdim) & (pixdim > 0)
    if sform is None:
        if not good.all():
            raise InputError(
                f"{path}: its header has spacing {_numbers(pixdim)} mm and nothing to mend it with; set a "
                "spacing above 0"
            )
        return pixdim
    if not good.all():
        warnings.append(
            f"spacing in the header is {_numbers(pixdim)} mm; that of the sform was taken: "
            f"{_numbers(sform.lengths)} mm"
        )
    elif np.any(np.abs(sform.lengths / pixdim - 1) > 0.01):
        warnings.append(
            f"spacing in the header is {_numbers(pixdim)} mm but {_numbers(sform.lengths)} mm in the sform; "
            "the first was taken"
        )
    return np.where(good, pixdim, sform.lengths)


def _sform(header: np.void, unit: float) -> _Form:
    rows = header["srow"].astype(np.float64) * unit
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    return _Form(axes=rows[:, :3] / lengths, lengths=lengths, origin=rows[:, 3])


def _qform(header: np.void, pixdim: F64, unit: float) -> _Form:
    """The rotation of the quaternion.

    Its third axis turned around where pixdim[0] is below 0 (NIfTI-1 standard).
    """
    b, c, d = header["quatern"].astype(np.float64)
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn, perhaps with rounding
        b, c, d = (b, c, d) / np.sqrt(b * b + c * c + d * d)
    a = np.sqrt(rest) if rest >= 1e-7 else 0.0
    axes = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    if float(header["pixdim"][0]) < 0:
        axes[:, 2] *= -1
    return _Form(axes=axes, lengths=pixdim, origin=header["qoffset"].astype(np.float64) * unit)


def _agree(sform: _Form, qform: _Form, size: Zyx) -> bool:
    """Whether both put every corner of the image within half a voxel of the same place."""
    reach = np.abs(sform.axes * sform.lengths - qform.axes * qform.lengths) @ (np.array(size[::-1]) - 1)
    gap = np.abs(sform.origin - qform.origin) + reach
    return bool(np.all(gap <= 0.5 * sform.lengths.min()))


def _numbers(values: F64) -> str:
    return " × ".join(f"{value:g}" for value in values)
