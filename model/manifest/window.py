"""Which windows a network may be given: the one that it was made for, or any up to a whole region."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from model.arrays import Zyx
from model.checks import check, check_between

LARGEST_SIDE = 1024
"""Voxels along an axis of a window; more is a mistake."""
MOST_MB = 1 << 24
"""Most memory that a network may state; beyond 16 TiB a number is a mistake, infinity and NaN too."""
Use = Literal["largest", "fitted", "own"]
WAYS = ("openvino-fp32", "openvino-bf16", "onnxruntime-fp32", "cuda-fp32", "cuda-fp16")
"""Ways to run a network: what runs it, and in which precision."""
MVOXEL = 1_000_000


@dataclass(frozen=True, kw_only=True)
class MemoryLine:
    """Peak memory of a network as a straight line over the voxels of its window, above all measurements."""

    fixed_mb: float
    """MiB whatever the window, weights included."""
    mb_per_mvoxel: float
    """MiB for each million voxels of the window."""

    def __post_init__(self) -> None:
        check_between("fixed_mb", self.fixed_mb, 0, MOST_MB)
        check_between("mb_per_mvoxel", self.mb_per_mvoxel, 0, MOST_MB)

    def mb(self, window_zyx: Zyx) -> float:
        """MiB of loading the network and running windows of this size."""
        return self.fixed_mb + self.mb_per_mvoxel * prod(window_zyx) / MVOXEL


@dataclass(frozen=True, kw_only=True)
class FixedWindow:
    """`window_zyx` is the only one."""

    kind: Literal["fixed"] = "fixed"


@dataclass(frozen=True, kw_only=True)
class AnyWindow:
    """The network takes windows of any size; `use` says which a case is given.

    What a network with instance norm or squeeze-and-excitation says of a voxel depends on all of the window,
    so other windows than `window_zyx` are for networks trained on whole volumes, and for trying out.
    """

    kind: Literal["any"] = "any"
    multiple_of_zyx: Zyx
    """What every side must be a multiple of, voxels; a region is padded to that with zeros on all sides."""
    smallest_zyx: Zyx
    """Least sides, for regions smaller than `window_zyx`; export compared the network from there up."""
    memory: Mapping[str, MemoryLine] | None = None
    """Memory by way to run the network, as in `memory_mb`. Missing, or far too little: estimated from the
    network's graph."""
    use: Use = "largest"
    """`largest`: the largest that the memory budget allows, up to the whole region in one, `window_zyx` at
    least (LAMP, whole-volume segmentation); `fitted`: `window_zyx`, but along axes in which the region is
    shorter only as much as covers it; `own`: `window_zyx` always, as if it were the only one."""

    def __post_init__(self) -> None:
        steps, least = self.multiple_of_zyx, self.smallest_zyx
        check(all(1 <= s <= LARGEST_SIDE for s in steps), f"multiple_of_zyx: must be 1 to 1024, is {steps}")
        fits = all(n > 0 and n % step == 0 for n, step in zip(least, steps, strict=True))
        check(fits, f"smallest_zyx: must be multiples of {steps}, is {least}")
        for way in self.memory or {}:
            check(way in WAYS, f"memory.{way}: unknown; known are {', '.join(WAYS)}")

    def check_window(self, window_zyx: Zyx) -> None:
        """Refuse a window that the network cannot take.

        Raises:
            ValueError: a side is too small, or no multiple of what it must be one of.
        """
        steps, least = self.multiple_of_zyx, self.smallest_zyx
        fits = all(n >= low and n % step == 0 for n, low, step in zip(window_zyx, least, steps, strict=True))
        check(fits, f"window_zyx: must be multiples of {steps} from {least} on, is {window_zyx}")


WindowSizes = FixedWindow | AnyWindow
"""Which windows a network may be given."""
