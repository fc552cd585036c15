"""How a network's input is made, and where its grid lies over an image."""

from dataclasses import dataclass

from inference.geometry import EDGES, Line, Lines
from inference.preprocessing.resampling import model_size
from model.arrays import Zyx, ZyxMm
from model.manifest.document import Manifest
from model.manifest.intensity import Intensity
from model.manifest.network import Network
from model.manifest.resampling import Resampling

SAME_WITHIN = 1e-3
"""MONAI's `AFFINE_TOL`: millimetres, or the share of a voxel, by which voxel sizes differ without being
resampled."""


@dataclass(frozen=True, kw_only=True)
class InputScheme:
    """How a network's input is made; networks with equal schemes share it."""

    spacing_zyx_mm: ZyxMm
    intensities: tuple[Intensity, ...]
    """One for each channel."""
    resampling: Resampling
    normalize_first: bool
    """Whether voxels are normalized in the image's grid, before they are resampled."""
    figures_first: bool = True
    """Whether an image's own figures are taken in its grid, before it is resampled."""
    from_end_zyx: tuple[bool, bool, bool] | None = None
    """Where the grid begins at the centre of the image's first voxel: along which axes that is the last one
    here. None where it spans the image edge to edge."""


def input_scheme(manifest: Manifest, network: Network) -> InputScheme:
    """How a network's input is made, by the manifest."""
    steps = manifest.preprocessing
    return InputScheme(
        spacing_zyx_mm=network.spacing_zyx_mm,
        intensities=manifest.intensities_of(network),
        resampling=manifest.resampling_of(network),
        normalize_first=steps.normalize == "before_resampling",
        figures_first=steps.figures_on == "image",
        from_end_zyx=network.from_end_zyx if steps.grid == "first_voxel" else None,
    )


@dataclass(frozen=True, kw_only=True)
class ModelGrid:
    """A network's grid over an image."""

    size_zyx: Zyx
    lines: Lines = EDGES
    """Where its voxels lie on the image's axes."""


def model_grid(size_zyx: Zyx, spacing_zyx_mm: ZyxMm, scheme: InputScheme) -> ModelGrid:
    """The grid of a network over an image of this size and spacing.

    Edge to edge: `model_size`. From the first voxel's centre, as MONAI's `Spacing` does: voxels are counted
    between the centres of the first and the last one, so that 5 voxels of 1 mm are 4 mm, which are 3 voxels
    of 2 mm, at 0, 2 and 4; of 3 mm, 2.33 voxels are rounded to 2, at 0 and 3.
    """
    if scheme.from_end_zyx is None:
        return ModelGrid(size_zyx=model_size(size_zyx, spacing_zyx_mm, scheme.spacing_zyx_mm))
    wanted = zip(spacing_zyx_mm, scheme.spacing_zyx_mm, strict=True)
    steps = [1.0 if abs(own - target) <= SAME_WITHIN else target / own for own, target in wanted]
    z, y, x = (round((size - 1) / step + 1) for size, step in zip(size_zyx, steps, strict=True))
    grid = (z, y, x)
    if grid == size_zyx and all(abs(step - 1) <= SAME_WITHIN for step in steps):
        return ModelGrid(size_zyx=grid)
    along_z, along_y, along_x = (
        Line((size - 1) - (made - 1) * step if from_end else 0.0, step)
        for size, made, step, from_end in zip(size_zyx, grid, steps, scheme.from_end_zyx, strict=True)
    )
    return ModelGrid(size_zyx=grid, lines=(along_z, along_y, along_x))
