"""How one case is run, and what that takes at most."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Self

from inference.limits import MOST_GPU_MB, MOST_HOST_MB, memory_at_hand
from inference.runtime.backends import Backend
from inference.runtime.session_pool import Loading
from inference.sliding_window.groups import grouped_members
from model.arrays import Zyx
from model.manifest.document import Manifest
from model.manifest.network import Member, Precision

CUDA_CONTEXT_MB = 500
"""GPU memory of a CUDA context with cuDNN loaded, which no setting limits.

Not measured on our own; onnxruntime users report 300 to 500.
"""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may take at most."""

    host_mb: int = MOST_HOST_MB
    gpu_mb: int = MOST_GPU_MB
    host_why: str = ""
    """What set `host_mb`, where that was not the user."""

    @classmethod
    def at_hand(cls, gpu_mb: int = MOST_GPU_MB) -> Self:
        """What the machine has free and the container allows of the host's memory, 8192 MiB at most."""
        free = memory_at_hand(MOST_HOST_MB)
        return cls(host_mb=free.mb, gpu_mb=gpu_mb, host_why=free.why)


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """Members that share a grid and windows."""

    files: tuple[str, ...]
    grid_zyx: Zyx
    window_zyx: Zyx
    """What the members are given at a time; where they take any, the largest that the budget allows."""
    order: str
    """Which windows run, and in which order."""
    slab: int
    """Slices that become final at a time, at most."""
    windows: int
    """Windows of all members together, at most; mirrored copies count as one. Scores that are looked at
    twice and not kept are computed twice."""


@dataclass(frozen=True, kw_only=True)
class InferencePlan:
    """How one case is run."""

    backend: Backend
    precisions: Mapping[str, Precision]
    """Precision of each network file."""
    groups: tuple[GroupPlan, ...]
    at_once: int
    """Networks that are loaded at a time."""
    tight: bool
    """Convolutions with little working memory."""
    ahead: bool
    """All members are loaded at the same time, though they run, and then go, in turn."""
    keep: bool
    """Scores that are looked at twice stay in host memory instead of being computed again."""
    host: Mapping[str, Mapping[str, float]]
    """MiB of host memory by stage and by what takes it."""
    gpu: Mapping[str, float]
    """MiB of GPU memory by what takes it; empty on the CPU."""
    budget: Budget
    reserved_mb: float = 0.0
    """MiB of the host's budget that others hold while the case is run, such as the next image."""
    larger_windows_mb: tuple[int, int] | None = None
    """MiB of host and of GPU memory from which on networks that take any window are given the largest; None
    where they are, or where a device ran out of memory with those."""

    @property
    def windows_settled(self) -> bool:
        """Whether no region of the image would be given other windows if there were more memory.

        What the plan leaves of the budget can then be given to others, and is not wanted by the region's own
        plan.
        """
        return self.larger_windows_mb is None

    @property
    def host_mb(self) -> int:
        """Estimated peak of host memory, of the whole process."""
        return ceil(max(sum(items.values()) for items in self.host.values()))

    @property
    def reading_mb(self) -> float:
        """Estimated peak of host memory while the image is read; the whole peak where it was read before."""
        return sum(self.host["reading"].values()) if "reading" in self.host else self.host_mb

    @property
    def localizes(self) -> bool:
        """Whether organs are still to be localized."""
        return "localization" in self.host

    @property
    def results_mb(self) -> float | None:
        """MiB that results beside the label map may take while they are made; None where none are planned."""
        return self.host["writing"]["DICOM results"] if "writing" in self.host else None

    @property
    def gpu_mb(self) -> int:
        """Estimated peak of GPU memory, the context included."""
        return ceil(sum(self.gpu.values()))

    @property
    def windows(self) -> int:
        """Windows at most, of all members; those of localization are not counted."""
        return sum(group.windows for group in self.groups)

    @property
    def excess_mb(self) -> tuple[int, int]:
        """MiB by which the peaks exceed the budget, of the GPU and of the host."""
        return max(0, self.gpu_mb - self.budget.gpu_mb), max(0, self.host_mb - self.budget.host_mb)

    @property
    def fits(self) -> bool:
        """Whether both peaks are within the budget, what others hold included."""
        return self.spare_mb >= 0 and self.gpu_mb <= self.budget.gpu_mb

    @property
    def spare_mb(self) -> float:
        """MiB of the host's budget that the case leaves to others, such as the next one."""
        return self.budget.host_mb - self.host_mb - self.reserved_mb

    @property
    def loading(self) -> Loading:
        """How many networks are in memory at a time, and with how much of it."""
        limit = max(1, self.budget.gpu_mb - CUDA_CONTEXT_MB) if self.gpu else 0
        windows = {file: group.window_zyx for group in self.groups for file in group.files}
        return Loading(
            at_once=self.at_once, gpu_limit_mb=limit, tight=self.tight, ahead=self.ahead, windows=windows
        )

    def members(self, manifest: Manifest) -> list[list[Member]]:
        """The members in the groups in which they are run, each with the window that it is given."""
        return [
            [replace(member, window_zyx=group.window_zyx) for member in members]
            for members, group in zip(grouped_members(manifest), self.groups, strict=True)
        ]

    def as_json(self) -> dict[str, object]:
        """The plan's main figures for a report."""
        return {
            "backend": self.backend,
            "precisions": dict(self.precisions),
            "networks_at_once": self.at_once,
            "windows": self.windows,
            "windows_zyx": [list(group.window_zyx) for group in self.groups],
            "host_mb": self.host_mb,
            "gpu_mb": self.gpu_mb,
            "host_budget_mb": self.budget.host_mb,
            "host_budget_set_by": self.budget.host_why or "the user",
            "gpu_budget_mb": self.budget.gpu_mb,
            "larger_windows_mb": self.larger_windows_mb,
        }

    def describe(self) -> str:
        """Several lines for a user."""
        lines = [f"device         {self.backend}, {', '.join(sorted(set(self.precisions.values())))}"]
        for group in self.groups:
            lines += [
                f"networks       {', '.join(group.files)}",
                f"  grid         {_by(group.grid_zyx)} voxels (z, y, x) at most",
                f"  windows      {_by(group.window_zyx)}, {group.order}; {group.windows} at most",
                f"  slab         up to {group.slab} slices of float32 scores, in host memory",
            ]
        plural = "s" * (self.at_once > 1)
        lines.append(f"loaded         {self.at_once} network{plural} at a time{', tight' * self.tight}")
        for stage, items in self.host.items():
            parts = ", ".join(f"{what} {mb:.0f}" for what, mb in items.items() if mb >= 0.5)
            lines.append(f"host, {stage:<8} {ceil(sum(items.values()))} MiB: {parts}")
        why = f" ({self.budget.host_why})" if self.budget.host_why else ""
        lines.append(f"host memory    {self.host_mb} of {self.budget.host_mb} MiB{why}")
        if self.gpu:
            parts = ", ".join(f"{what} {mb:.0f}" for what, mb in self.gpu.items())
            lines.append(f"GPU memory     {self.gpu_mb} of {self.budget.gpu_mb} MiB: {parts}")
        if self.larger_windows_mb:
            lines.append(
                f"larger windows from {options(*self.larger_windows_mb)} on, which give other labels"
            )
        return "\n".join(lines)


def _by(size: Zyx) -> str:
    return "×".join(map(str, size))


def options(host_mb: int, gpu_mb: int) -> str:
    """How a user asks for so many MiB: `--host-memory-mb 620`, and `--gpu-memory-mb` where a GPU is used."""
    return f"--host-memory-mb {host_mb}" + f" --gpu-memory-mb {gpu_mb}" * bool(gpu_mb)


def least_needed(plan: InferencePlan) -> str:
    """Why no plan keeps the budget, where this is the smallest."""
    why = f"; {plan.budget.host_mb} MiB are {plan.budget.host_why}" if plan.budget.host_why else ""
    over = [
        f"{name} memory {needed} MiB ({option} {needed}{why if name == 'host' else ''})"
        for name, needed, allowed, option in (
            ("host", plan.host_mb, plan.budget.host_mb, "--host-memory-mb"),
            ("GPU", plan.gpu_mb, plan.budget.gpu_mb, "--gpu-memory-mb"),
        )
        if needed > allowed
    ]
    return f"the memory budget cannot be kept; at least needed: {', '.join(over)}"
