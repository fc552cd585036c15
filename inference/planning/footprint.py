"""What a run keeps in memory, item by item: the figures under a plan. Sizes are in MiB.

Measured on Linux x86-64 with the versions in `requirements`; `tests/inference/planning/test_planner.py` holds
them against real peaks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from inference.restoration.boundaries import BATCH_VOXELS
from inference.runtime.backends import Backend
from model.manifest import Member, Zyx, ZyxMm

MIB = 2.0**20
LIBRARIES_MB: Mapping[Backend, float] = {"openvino": 150.0, "onnxruntime": 145.0, "cuda": 900.0}
"""Python, numpy, SimpleITK, cc3d and the runtime's own code, loaded. CUDA's figure is an estimate."""
PARTS_BOX_MM = (300.0, 250.0, 300.0)
"""What kidneys, liver or aorta fill along z, y, x at most, in an adult."""
PARTS_BYTES = 6
VOXEL_BYTES = 2
"""Of the image: int16, as CT has it; images with fractions are float32 and take twice that."""


def image_mb(size_zyx: Zyx, bytes_each: int = VOXEL_BYTES) -> float:
    """Memory of an image's voxels."""
    return _mb(size_zyx, bytes_each)


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What there is to keep."""

    image_zyx: Zyx
    spacing_zyx_mm: ZyxMm
    """Of the image."""
    voxel_bytes: int
    """Of the image's voxels."""
    region_zyx: Zyx
    """Of the image's grid, segmented."""
    channels: int
    groups: Sequence[tuple[Zyx, Sequence[Member]]]
    """Grid and members of each group."""
    kept: Sequence[Zyx]
    """Grids of the groups whose probabilities are kept for the whole region."""

    def host(self, backend: Backend, networks_mb: float) -> dict[str, dict[str, float]]:
        """MiB by stage and item.

        Args:
            backend: what runs the networks.
            networks_mb: of the networks loaded at a time, as far as they lie in host memory.
        """
        image = f"image ({'int16' if self.voxel_bytes == VOXEL_BYTES else 'float32'})"
        always = {
            "libraries": LIBRARIES_MB[backend],
            image: _mb(self.image_zyx, self.voxel_bytes),
            "networks": networks_mb,
        }
        return {
            "networks": {
                **always,
                "labels (uint8)": _mb(self.image_zyx, 1),
                "probabilities (float32)": sum(
                    self._buffer_mb(grid, members[0]) for grid, members in self.groups
                ),
                "input slices (float32)": sum(self._input_mb(grid, members) for grid, members in self.groups),
                "window": max(self._window_mb(member) for _, members in self.groups for member in members),
                "other grids": self._other_grids_mb(),
                "kept (float32)": sum(_mb(grid, 4 * self.channels) for grid in self.kept),
                "restoration": self._restoration_mb(),
            },
            # Labels and their next version, while left and right are told apart, parts removed, axes turned
            # back.
            "clean-up": {**always, "labels (uint8)": 2 * _mb(self.image_zyx, 1), "parts": self._parts_mb()},
        }

    def _parts_mb(self) -> float:
        """Numbers of connected parts in the box of the largest structures that have a rule or two sides, a mask and its halves."""
        sides = (
            min(n, mm / spacing)
            for n, mm, spacing in zip(self.image_zyx, PARTS_BOX_MM, self.spacing_zyx_mm, strict=True)
        )
        return prod(sides) * PARTS_BYTES / MIB

    def _buffer_mb(self, grid: Zyx, member: Member) -> float:
        """Running mean and weights, a window deep."""
        return _mb(_slab(grid, member), 4 * (self.channels + 1))

    def _input_mb(self, grid: Zyx, members: Sequence[Member]) -> float:
        """The slices under a row of windows, and while the next ones are made those that stay."""
        images = len({(member.intensity, member.interpolation) for member in members})
        return 2 * images * _mb(_slab(grid, members[0]), 4)

    def _window_mb(self, member: Member) -> float:
        """A window, and its probabilities where they are turned or averaged on the way."""
        copies = 2 if member.mirror_axes else int(member.axes != "SPL")
        return _mb(member.window_zyx, 4 * (1 + copies * self.channels))

    def _other_grids_mb(self) -> float:
        """Slabs of coarser groups that wait to be interpolated."""
        finest = max((grid for grid, _ in self.groups), key=lambda grid: prod(grid))
        waiting = [2 * self._buffer_mb(grid, members[0]) for grid, members in self.groups if grid != finest]
        return sum(waiting)

    def _restoration_mb(self) -> float:
        """Of one slab: sure and possible channels, what neighbours agree on, the boundary voxels of a batch, the last slice."""
        grid, members = max(self.groups, key=lambda group: prod(group[0]))
        depth, height, width = _slab(grid, members[0])
        word = 1 if self.channels <= 8 else 2 if self.channels <= 16 else 4 * -(-self.channels // 32)
        of_grid = depth * height * width * (1 + 2 * word)
        of_input = depth * self.region_zyx[1] * self.region_zyx[2] * 3
        return (
            of_grid
            + of_input
            + BATCH_VOXELS * 200
            + 8 * BATCH_VOXELS * 3
            + 3 * height * width * 4 * self.channels
        ) / MIB


def _slab(grid: Zyx, member: Member) -> Zyx:
    return min(grid[0], member.window_zyx[0]), grid[1], grid[2]


def _mb(size_zyx: Zyx, bytes_each: float) -> float:
    depth, height, width = size_zyx
    return depth * height * width * bytes_each / MIB
