"""CTs to measure on: one phantom from chest to pelvis, cut or continued to as many slices as asked for.

A scan longer than the phantom goes on with its mirror image, head to head and foot to foot, so that every
slice shows a body and no seam a jump; a shorter one is cut around the organs. All are 512×512 voxels of 0.65
mm, which the body fills, slices 1.25 mm apart, stored along L, P, S.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from eval.eval_errors import JudgingError
from eval.files import case_of
from model.arrays import U8

SIDE = 512
SPACING_ZYX_MM = (1.25, 0.65, 0.65)
AIR_HU = -1024
SEED = 100


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A CT file and what the tables call it."""

    name: str
    path: Path


def given_scans(paths: Sequence[Path]) -> list[Scan]:
    """Scans of the user's own.

    Raises:
        JudgingError: a file is missing, or two have one name.
    """
    scans = [
        Scan(name=path.name.removesuffix(".gz").removesuffix(".nii"), path=path.resolve()) for path in paths
    ]
    for scan in scans:
        if not scan.path.is_file():
            raise JudgingError(f"{scan.path}: no such file")
    if len({scan.name for scan in scans}) < len(scans):
        raise JudgingError("--ct: two files have the same name; rename one")
    return scans


def phantom_scans(slices: Sequence[int], folder: Path) -> list[Scan]:
    """Phantoms of some numbers of slices in a folder; those that are there are used again.

    Raises:
        JudgingError: the training package, which draws the phantom, cannot run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scans = [
        Scan(name=f"{SIDE}×{SIDE}×{count}", path=folder / f"phantom-{SIDE}x{SIDE}x{count}.nii.gz")
        for count in slices
    ]
    todo = [(scan, count) for scan, count in zip(scans, slices, strict=True) if not scan.path.exists()]
    if todo:
        hu, labels = _phantom(folder / "phantom")
        for scan, count in todo:
            write_scan(scan.path, stack(hu, labels, count))
    return scans


def stack(hu: NDArray[np.int16], labels: U8, count: int) -> NDArray[np.int16]:
    """As many slices as asked for.

    Args:
        hu: (z, y, x).
        labels: of the same shape; where not 0, organs.
        count: slices of the result.

    Example: three slices a, b, c become seven as a, b, c, c, b, a, a; and one as the middle one of those that
        hold organs.
    """
    depth = len(hu)
    if count > depth:
        positions = np.arange(count) % (2 * depth)
        return hu[np.minimum(positions, 2 * depth - 1 - positions)]
    held = np.flatnonzero(labels.any(axis=(1, 2)))
    middle = (held[0] + held[-1] + 1) // 2 if held.size else depth // 2
    first = int(np.clip(middle - count // 2, 0, depth - count))
    return hu[first : first + count]


def in_square(hu: NDArray[np.int16], side: int) -> NDArray[np.int16]:
    """Slices of `side`×`side` voxels with the image in their middle, cut or with air around it."""
    square = np.full((len(hu), side, side), AIR_HU, np.int16)
    given, wanted = [], []
    for size in hu.shape[1:]:
        common = min(size, side)
        given.append(slice((size - common) // 2, (size - common) // 2 + common))
        wanted.append(slice((side - common) // 2, (side - common) // 2 + common))
    square[:, wanted[0], wanted[1]] = hu[:, given[0], given[1]]
    return square


def write_scan(path: Path, hu: NDArray[np.int16]) -> None:
    """Write a scan with the spacing of this module."""
    image = sitk.GetImageFromArray(in_square(hu, SIDE))
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    partial = path.with_name(f".{path.name}")
    sitk.WriteImage(image, str(partial), useCompression=True)
    partial.replace(path)


def _phantom(folder: Path) -> tuple[NDArray[np.int16], U8]:
    images = sorted(folder.glob("imagesTr/*.nii.gz"))
    if not images:
        spacing = [str(mm) for mm in SPACING_ZYX_MM]
        command = [
            sys.executable,
            "-m",
            "training",
            "phantom",
            "--cases",
            "1",
            "--seed",
            str(SEED),
            "--coverage",
            "chest to pelvis",
        ]
        done = subprocess.run(
            [*command, "--spacing-zyx-mm", *spacing, "-o", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            raise JudgingError(
                f"the phantom cannot be drawn ({done.stderr.strip().splitlines()[-1:]}); give CTs with --ct"
            )
        images = sorted(folder.glob("imagesTr/*.nii.gz"))
    labels = folder / "labelsTr" / f"{case_of(images[0].name)}.nii.gz"
    return _canonical(images[0]).astype(np.int16), _canonical(labels).astype(np.uint8)


def _canonical(path: Path) -> NDArray[np.generic]:
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")))
