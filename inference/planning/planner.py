"""From a memory budget, a bundle and an image's header to a plan, before any voxel is loaded.

The plan says what is kept where, in which type, and what both peaks will be at most. Sizes are in MiB
(`_mb`). What the estimates stand on is in `inference.planning.footprint`; tests compare them with measured
peaks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from inference.errors import BudgetError
from inference.geometry import Geometry
from inference.imaging.orientation import orient, orientation_of
from inference.planning.footprint import VOXEL_BYTES, Footprint, largest_mb, ways
from inference.preprocessing.resampling import model_size
from inference.runtime.backends import Backend, Precision
from inference.sliding_window.groups import grouped
from inference.sliding_window.placement import window_starts
from model.bundle import ModelBundle
from model.manifest import Member, Zyx

CUDA_CONTEXT_MB = 500
"""GPU memory of a CUDA context with cuDNN loaded, which no setting limits. Not measured on our own;
onnxruntime users report 300 to 500."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may take at most."""

    host_mb: int = 8192
    gpu_mb: int = 4096


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """Members that share a grid and windows."""

    files: tuple[str, ...]
    grid_zyx: Zyx
    window_zyx: Zyx
    order: str
    """Which windows run, and in which order."""
    slab: int
    """Slices that become final at a time, at most."""
    windows: int
    """Of all members together, at most; mirrored copies count as one."""


@dataclass(frozen=True, kw_only=True)
class InferencePlan:
    """How one case is run."""

    backend: Backend
    precisions: Mapping[str, Precision]
    """Of each network file."""
    groups: tuple[GroupPlan, ...]
    at_once: int
    """Networks that are loaded at a time."""
    tight: bool
    """Convolutions with little working memory."""
    keep: bool
    """Probabilities that are looked at twice stay in host memory instead of being computed again."""
    host: Mapping[str, Mapping[str, float]]
    """MiB of host memory by stage and by what takes it."""
    gpu: Mapping[str, float]
    """MiB of GPU memory by what takes it; empty on the CPU."""
    budget: Budget

    @property
    def host_mb(self) -> int:
        """Estimated peak of host memory, of the whole process."""
        return ceil(max(sum(items.values()) for items in self.host.values()))

    @property
    def gpu_mb(self) -> int:
        """Estimated peak of GPU memory, the context included."""
        return ceil(sum(self.gpu.values()))

    @property
    def windows(self) -> int:
        """Windows at most, of all members."""
        return sum(group.windows for group in self.groups)

    @property
    def fits(self) -> bool:
        """Whether both peaks are within the budget."""
        return self.host_mb <= self.budget.host_mb and self.gpu_mb <= self.budget.gpu_mb

    @property
    def gpu_limit_mb(self) -> int:
        """What the networks' arenas may take together; 0 on the CPU."""
        return max(1, self.budget.gpu_mb - CUDA_CONTEXT_MB) if self.gpu else 0

    def as_json(self) -> dict[str, object]:
        """The plan's main figures for a report."""
        return {
            "backend": self.backend,
            "precisions": dict(self.precisions),
            "networks_at_once": self.at_once,
            "windows": self.windows,
            "host_mb": self.host_mb,
            "gpu_mb": self.gpu_mb,
            "host_budget_mb": self.budget.host_mb,
            "gpu_budget_mb": self.budget.gpu_mb,
        }

    def describe(self) -> str:
        """Several lines for a user."""
        lines = [f"device         {self.backend}, {', '.join(sorted(set(self.precisions.values())))}"]
        for group in self.groups:
            lines += [
                f"networks       {', '.join(group.files)}",
                f"  grid         {_by(group.grid_zyx)} voxels (z, y, x) at most",
                f"  windows      {_by(group.window_zyx)}, {group.order}; {group.windows} at most",
                f"  slab         up to {group.slab} slices of float32 probabilities, in host memory",
            ]
        lines.append(
            f"loaded         {self.at_once} network{'s' * (self.at_once > 1)} at a "
            f"time{', tight' * self.tight}"
        )
        for stage, items in self.host.items():
            parts = ", ".join(f"{what} {mb:.0f}" for what, mb in items.items() if mb >= 0.5)
            lines.append(f"host, {stage:<8} {ceil(sum(items.values()))} MiB: {parts}")
        lines.append(f"host memory    {self.host_mb} of {self.budget.host_mb} MiB")
        if self.gpu:
            lines.append(
                f"GPU memory     {self.gpu_mb} of {self.budget.gpu_mb} MiB: "
                f"{', '.join(f'{k} {v:.0f}' for k, v in self.gpu.items())}"
            )
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Makes plans for a bundle on a backend."""

    bundle: ModelBundle
    backend: Backend
    precision: Precision | None = None
    """Overrides what the manifest allows; None does not."""
    budget: Budget = Budget()

    def plan(
        self,
        stored: Geometry,
        region_zyx: Zyx | None = None,
        *,
        voxel_bytes: int = VOXEL_BYTES,
        small: bool = False,
    ) -> InferencePlan:
        """The fastest plan that keeps the budget.

        Args:
            stored: the image's grid, as in its header.
            region_zyx: size of the region that is segmented, in canonical orientation; None for the whole
                image, before that is known.
            voxel_bytes: what a voxel of the image takes, 2 for int16, 4 for float32.
            small: only the smallest plan, after a device ran out of memory.

        Raises:
            BudgetError: none does; the message names the smallest budget that can be kept.
        """
        plans = list(self._plans(stored, region_zyx, voxel_bytes))
        if small:
            plans = plans[-1:]
        for plan in plans:
            if plan.fits:
                return plan
        least = plans[-1]
        over = [
            f"{name} memory {needed} MiB ({option} {needed})"
            for name, needed, allowed, option in (
                ("host", least.host_mb, self.budget.host_mb, "--host-memory-mb"),
                ("GPU", least.gpu_mb, self.budget.gpu_mb, "--gpu-memory-mb"),
            )
            if needed > allowed
        ]
        raise BudgetError(f"the memory budget cannot be kept; at least needed: {', '.join(over)}")

    def _plans(
        self, stored: Geometry, region_zyx: Zyx | None = None, voxel_bytes: int = VOXEL_BYTES
    ) -> Iterator[InferencePlan]:
        """All plans, the fastest first, the smallest last."""
        canonical = orient(stored, orientation_of(stored))
        networks = self.bundle.manifest.networks()
        for keep in (True, False) if looked_at_twice(self.bundle) else (False,):
            for at_once in sorted({len(networks), 1}, reverse=True):
                yield self._estimate(canonical, region_zyx or canonical.size_zyx, voxel_bytes, at_once, keep)

    def _estimate(
        self, canonical: Geometry, region: Zyx, voxel_bytes: int, at_once: int, keep: bool
    ) -> InferencePlan:
        manifest = self.bundle.manifest
        groups = grouped_members(self.bundle)
        grids = [
            model_size(region, canonical.spacing_zyx_mm, members[0].spacing_zyx_mm) for members in groups
        ]
        networks = ways(self.bundle, self.backend, self.precision)
        loaded = largest_mb(networks, at_once)
        on_gpu = self.backend == "cuda"
        footprint = Footprint(
            image_zyx=canonical.size_zyx,
            spacing_zyx_mm=canonical.spacing_zyx_mm,
            voxel_bytes=voxel_bytes,
            region_zyx=region,
            channels=len(manifest.output.channels),
            groups=[(grid, members) for grid, members in zip(grids, groups, strict=True)],
            kept=grids[: looked_at_twice(self.bundle)] if keep else [],
        )
        return InferencePlan(
            backend=self.backend,
            precisions={file: way.precision for file, way in networks.items()},
            groups=tuple(group_plan(grid, members) for grid, members in zip(grids, groups, strict=True)),
            at_once=at_once,
            tight=on_gpu and at_once == 1,
            keep=keep,
            host=footprint.host(self.backend, 0.0 if on_gpu else loaded),
            gpu={"context": CUDA_CONTEXT_MB, "networks": loaded} if on_gpu else {},
            budget=self.budget,
        )


def looked_at_twice(bundle: ModelBundle) -> int:
    """How many groups' probabilities the recipe looks at twice, see `inference.segmentation`.

    It is the first ones.
    """
    manifest = bundle.manifest
    groups = len(grouped_members(bundle))
    if manifest.crop_after_first and groups > 1:
        return 1
    return groups if manifest.fuse == "after_postprocessing" and manifest.postprocessing else 0


def grouped_members(bundle: ModelBundle) -> list[list[Member]]:
    """The members in the groups in which they are run: the first one alone where the others may see only a part."""
    members = bundle.manifest.members
    if bundle.manifest.crop_after_first and len(members) > 1:
        return [[members[0]], *grouped(members[1:])]
    return grouped(members)


def group_plan(grid_zyx: Zyx, members: list[Member]) -> GroupPlan:
    """What a group's members have in common, and how many windows they need at most."""
    member = members[0]
    z, y, x = (
        window_starts(size, window, member.overlap)
        for size, window in zip(grid_zyx, member.window_zyx, strict=True)
    )
    centre_first = member.window_strategy == "centre_first"
    level = min(9, len(y) * len(x)) if centre_first else len(y) * len(x)
    return GroupPlan(
        files=tuple(each.file for each in members),
        grid_zyx=grid_zyx,
        window_zyx=member.window_zyx,
        order=f"{'centre first' if centre_first else 'all'}, feet to head, overlap {member.overlap:.0%}, {member.importance}",
        slab=min(grid_zyx[0], member.window_zyx[0]),
        windows=len(z) * level * len(members),
    )


def _by(size: Zyx) -> str:
    return "×".join(map(str, size))
