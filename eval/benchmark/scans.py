"""CTs to measure on: a phantom from chest to pelvis, cut or continued to any number of slices.

A scan longer than the phantom continues with its mirror image, head to head and foot to foot, so that every
slice shows a body and no seam is visible; a shorter one is cut around the organs. All have slices of 512×512
voxels of 0.65 mm, which the body fills, 1.25 mm apart, stored along L, P, S.
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
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "phantom" / "imagesTr" / "phantom_0000.nii.gz"
EXAMPLE_SLICE_MM = 2.5
SPACING_ZYX_MM = (1.25, 0.65, 0.65)
AIR_HU = -1024
SEED = 100
TRAINING_PACKAGES = "if packages are missing, `make training` sets them up"


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A CT file and its name in the tables."""

    name: str
    path: Path


def given_scans(paths: Sequence[Path]) -> list[Scan]:
    """Scans that the user gives.

    Raises:
        JudgingError: a file is missing, or two files have the same name.
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
    """Phantoms with these numbers of slices, written to a folder; those that exist already are used again.

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


def example_scan(folder: Path) -> Scan:
    """The phantom of examples/ on a grid of the size that CTs have, which needs no training package.

    512×512×120 voxels of 0.872×0.872×2.5 mm, over the same 446×302×300 mm and air beside them; one that
    exists already is used again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scan = Scan(name=f"{SIDE}×{SIDE}×120", path=folder / "phantom_0000.nii.gz")
    if not scan.path.exists():
        image = sitk.ReadImage(str(EXAMPLE))
        x, y, z = image.GetSpacing()
        width_mm = x * image.GetSize()[0]
        spacing = (width_mm / SIDE, width_mm / SIDE, EXAMPLE_SLICE_MM)
        size = (SIDE, SIDE, round(z * image.GetSize()[2] / EXAMPLE_SLICE_MM))
        # Centred along y, where the phantom is shorter; outer faces stay where they are along x and z.
        start = np.array([spacing[0] - x, y * image.GetSize()[1] - width_mm - y + spacing[1], spacing[2] - z])
        turned = np.array(image.GetDirection()).reshape(3, 3) @ (start / 2)
        fine = sitk.Resample(
            image,
            size,
            sitk.Transform(),
            sitk.sitkLinear,
            (np.array(image.GetOrigin()) + turned).tolist(),
            spacing,
            image.GetDirection(),
            AIR_HU,
            sitk.sitkInt16,
        )
        _write(scan.path, fine)
    return scan


def stack(hu: NDArray[np.int16], labels: U8, count: int) -> NDArray[np.int16]:
    """An image with another number of slices.

    Example: three slices a, b, c become the seven slices a, b, c, c, b, a, a; or one slice, the middle one of
    those with organs.

    Args:
        hu: the image; shape (z, y, x).
        labels: organs of the image, 0 elsewhere; of the same shape.
        count: number of slices of the result.
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
    """The image in the middle of slices of `side`×`side` voxels, cut or with air around it."""
    square = np.full((len(hu), side, side), AIR_HU, np.int16)
    given, wanted = [], []
    for size in hu.shape[1:]:
        common = min(size, side)
        given.append(slice((size - common) // 2, (size - common) // 2 + common))
        wanted.append(slice((side - common) // 2, (side - common) // 2 + common))
    square[:, wanted[0], wanted[1]] = hu[:, given[0], given[1]]
    return square


def write_scan(path: Path, hu: NDArray[np.int16]) -> None:
    """Write a scan with `SIDE`×`SIDE` voxels a slice and the spacing `SPACING_ZYX_MM`."""
    image = sitk.GetImageFromArray(in_square(hu, SIDE))
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    _write(path, image)


def _write(path: Path, image: sitk.Image) -> None:
    """Write an image whole; ITK takes the kind of a file from the end of its name."""
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
                f"the phantom cannot be drawn ({(done.stderr.strip().splitlines() or ['no message'])[-1]}); "
                f"{TRAINING_PACKAGES}; or give CTs with --ct"
            )
        images = sorted(folder.glob("imagesTr/*.nii.gz"))
    labels = folder / "labelsTr" / f"{case_of(images[0].name)}.nii.gz"
    return _canonical(images[0]).astype(np.int16), _canonical(labels).astype(np.uint8)


def _canonical(path: Path) -> NDArray[np.generic]:
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")))
