"""A recipe and a data set so small that a training step takes milliseconds."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import yaml
from numpy.typing import NDArray

from training.data.sampling import GridCase, class_points
from training.recipes.loading import recipe_from
from training.recipes.recipe import Recipe

NETWORK: dict[str, Any] = {"kind": "segresnet", "init_filters": 4, "blocks_down": [1, 1], "dsdepth": 1}
DOCUMENT: dict[str, Any] = {
    "name": "tiny",
    "description": "For tests.",
    "label_set": "flare21",
    "channels": "plain",
    "spacing_zyx_mm": [2, 2, 2],
    "patch_zyx": [16, 16, 16],
    "network": NETWORK,
    "optimizer": {"kind": "adamw", "learning_rate": 0.01},
    "schedule": {"kind": "warmup_cosine", "warmup_steps": 2},
    "stopping": {"kind": "fixed_steps", "steps": 8},
    "validation": {"every_steps": 4, "cases": 1},
    "checkpoint_every_steps": 4,
}


def tiny_recipe(**fields: Any) -> Recipe:
    """The tiny recipe with top-level fields replaced."""
    return recipe_from({**DOCUMENT, **fields})


def recipe_file(folder: Path, **fields: Any) -> str:
    """Write the tiny recipe with top-level fields replaced into a folder; the path of its file."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, **fields}))
    return str(path)


def grid_case(channels: NDArray[np.uint8], image: NDArray[np.floating] | None = None) -> GridCase:
    """A case on the network's grid; without an image each channel has a brightness of its own."""
    image = channels / 8 if image is None else image
    return GridCase(
        name="case",
        image=image.astype(np.float16)[None],
        channels=channels,
        points=class_points(channels, np.random.default_rng(0)),
    )


def write_case(
    folder: Path,
    name: str,
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    orientation: str = "LPS",
    spacing_xyz_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
) -> None:
    """Add a case to a data-set folder, its files stored in another orientation if asked."""
    for array, place in ((hu, f"imagesTr/{name}_0000.nii.gz"), (labels, f"labelsTr/{name}.nii.gz")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing_xyz_mm)
        image.SetOrigin((-10.0, 20.0, 30.0))
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.DICOMOrient(image, orientation), str(path))


def write_dataset(folder: Path, cases: int = 2, side: int = 20) -> Path:
    """A data set of cubes: a liver of 100 HU and a spleen of 0 HU in fat of -100 HU."""
    for index in range(cases):
        labels = np.zeros((side, side, side), np.uint8)
        labels[4:16, 4:16, 3 + index : 9 + index] = 1
        labels[6:12, 6:14, 12:18] = 3
        hu = np.array([-100, 100, 0, 0, 0], np.int16)[labels]
        write_case(folder, f"case{index}", hu, labels)
    (folder / "dataset.json").write_text('{"name": "cubes"}')
    return folder


def write_files(folder: Path, *names: str) -> None:
    """Empty files in a folder, where their names alone count."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
