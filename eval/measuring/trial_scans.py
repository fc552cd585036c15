"""Made CTs on which a submission is tried before it is sent in: one of each kind that real data hold.

They are bodies of soft tissue with a spine in air, nothing to be segmented well: what is tried is whether a
container copes with their size and their header.
"""

import gzip
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import SimpleITK as sitk

from model.arrays import ZyxMm

AIR_HU, TISSUE_HU, BONE_HU = -1000, 50, 400
_SFORM_CODE, _SFORM = 252, 280
"""Offsets in a NIfTI-1 header: codes of both forms, and the rows of the sform."""


@dataclass(frozen=True, kw_only=True)
class TrialScan:
    """What one made CT is like."""

    why: str
    """What it tries, for the list of ticks."""
    shape_zyx: tuple[int, int, int]
    spacing_zyx_mm: ZyxMm
    shear: float = 0.0
    """How much the first axis leans towards the second in the header."""


TRIALS: Mapping[str, TrialScan] = MappingProxyType(
    {
        "slab": TrialScan(why="thin slab", shape_zyx=(3, 512, 512), spacing_zyx_mm=(5.0, 0.8, 0.8)),
        "body": TrialScan(why="whole body", shape_zyx=(400, 256, 256), spacing_zyx_mm=(2.5, 1.5, 1.5)),
        "skewed": TrialScan(
            why="header not at right angles",
            shape_zyx=(60, 256, 256),
            spacing_zyx_mm=(3.0, 1.5, 1.5),
            shear=0.01,
        ),
    }
)


def write_trial(scan: TrialScan, path: Path) -> None:
    """Write a made CT as compressed NIfTI (`CASE_0000.nii.gz`)."""
    z, y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in scan.shape_zyx)
    plane = np.where((x[None] / 0.8) ** 2 + (y[:, None] / 0.55) ** 2 < 1, TISSUE_HU, AIR_HU)
    plane = np.where(x[None] ** 2 + (y[:, None] - 0.35) ** 2 < 0.005, BONE_HU, plane).astype(np.int16)
    image = sitk.GetImageFromArray(np.repeat(plane[None], len(z), axis=0))
    image.SetSpacing(scan.spacing_zyx_mm[::-1])
    image.SetOrigin((-100.0, -80.0, 40.0))
    plain = path.with_name(path.name.removesuffix(".gz"))
    sitk.WriteImage(image, str(plain))
    content = bytearray(plain.read_bytes())
    plain.unlink()
    if scan.shear:
        struct.pack_into("<hh", content, _SFORM_CODE, 0, 1)
        rows = list(struct.unpack_from("<12f", content, _SFORM))
        rows[1] += scan.shear * scan.spacing_zyx_mm[1]
        struct.pack_into("<12f", content, _SFORM, *rows)
    path.write_bytes(gzip.compress(content, compresslevel=1))
