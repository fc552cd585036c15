"""One ONNX file and what it wants: where it looks, in which voxels, how precisely.

As a member or for localization.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from model.arrays import Zyx, ZyxMm
from model.checks import check, check_between
from model.manifest.intensity import Intensity
from model.manifest.resampling import Resampling
from model.manifest.tiling import AllWindows, AxisName, Tiling
from model.manifest.window import LARGEST_SIDE, MOST_MB, WAYS, AnyWindow, FixedWindow, WindowSizes

N = TypeVar("N", int, float)

AXES: tuple[AxisName, ...] = ("z", "y", "x")
Precision = Literal["fp32", "bf16", "fp16"]
AXIS_LETTERS: Mapping[str, int] = {"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}
"""Canonical array axis that a letter of `axes` runs along."""


def in_zyx_order(axes: str, values: Sequence[N]) -> tuple[N, N, N]:
    """Values along a network's own axes in the order z, y, x.

    >>> in_zyx_order("RAS", [1, 2, 3])
    (3, 2, 1)
    """
    by_axis = {AXIS_LETTERS[letter]: value for letter, value in zip(axes, values, strict=True)}
    return by_axis[0], by_axis[1], by_axis[2]


def lies_inside(file: str) -> bool:
    """Whether a path of a manifest stays in the bundle's folder."""
    return bool(file) and not file.startswith("/") and "\\" not in file and ".." not in file.split("/")


@dataclass(frozen=True, kw_only=True)
class Network:
    """One ONNX file: input (batch, channels, *window), output logits (batch, classes, *window)."""

    file: str
    """Path of the ONNX file relative to the manifest."""
    spacing_zyx_mm: ZyxMm
    """Voxel size that it was trained on, in the axes in which images are looked at (`orientation`)."""
    kept_spacing: tuple[AxisName, ...] = ()
    """Axes along which every image keeps its own voxel size, whatever `spacing_zyx_mm` says: networks that
    see one slice at a time (nnU-Net 2d)."""
    kept_within: tuple[float, float] | None = None
    """Shares of `spacing_zyx_mm` between which an image's own voxel size is near enough to be kept, axis by
    axis, e.g. 0.75 and 1.25 (MONAI `min_pixdim` and `max_pixdim`)."""
    window_zyx: Zyx
    """Voxels that it sees at a time, in the same axes; where it takes any window, the least of them."""
    window: WindowSizes = field(default_factory=FixedWindow)
    """Whether it takes other windows than `window_zyx`; members alone do."""
    axes: str = "SPL"
    """Direction that each array axis of the network's input runs to, e.g. RAS: x first, towards the patient's
    right."""
    intensities: tuple[Intensity, ...] | None = None
    """Instead of those of `inputs`, one for each channel."""
    resampling: Resampling | None = None
    """Instead of that of `preprocessing`."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Lowest precision in which `file` may be computed: agreement with fp32 was shown."""
    fp16_file: str | None = None
    """The same network as an ONNX file that computes in fp16, for GPUs, with float32 input and output.
    Missing where agreement with fp32 was not shown."""
    memory_mb: Mapping[str, int] | None = None
    """Peak memory in MiB of loading the network and running one window, by way to run it, e.g.
    `openvino-bf16`, `onnxruntime-fp32`; measured when the bundle was made. Ways that are missing are
    estimated from the network's graph, and so are those that state far less than it (under a quarter)."""

    def __post_init__(self) -> None:
        for name, file in self.files.items():
            check(lies_inside(file), f"{name}: must lie in the bundle, is {file!r}")
        spacing, window = self.spacing_zyx_mm, self.window_zyx
        held = [s for s, axis in zip(spacing, AXES, strict=True) if axis not in self.kept_spacing]
        check(all(0.1 <= s <= 20 for s in held), f"spacing_zyx_mm: must be 0.1 to 20 mm, is {spacing}")
        low, high = self.kept_within or (1, 1)
        check(0 < low <= 1 <= high <= 100, f"kept_within: must be about 1, is {[low, high]}")
        possible = all(1 <= side <= LARGEST_SIDE for side in window)
        check(possible, f"window_zyx: must be 1 to {LARGEST_SIDE} voxels, is {window}")
        along = [AXIS_LETTERS.get(letter) for letter in self.axes]
        each_once = sorted(a for a in along if a is not None) == [0, 1, 2]
        check(each_once, f"axes: must name each of S/I, P/A, L/R once, is {self.axes!r}")
        for way, mb in (self.memory_mb or {}).items():
            check(way in WAYS, f"memory_mb.{way}: unknown; known are {', '.join(WAYS)}")
            allowed = f"must be above 0 and at most {MOST_MB} MiB"
            check(0 < mb <= MOST_MB, f"memory_mb.{way}: {allowed}, is {str(mb)[:20]}")
        if isinstance(self.window, AnyWindow):
            self.window.check_window(window)

    def spacing_on(self, image_zyx_mm: ZyxMm) -> ZyxMm:
        """Voxel size of its grid over an image of these voxels.

        >>> flat = Network(file="a", spacing_zyx_mm=(1, 2, 2), window_zyx=(1, 8, 8), kept_spacing=("z",))
        >>> flat.spacing_on((5.0, 0.7, 0.7))
        (5.0, 2, 2)
        """
        low, high = self.kept_within or (math.inf, -math.inf)
        own = zip(AXES, image_zyx_mm, self.spacing_zyx_mm, strict=True)
        z, y, x = (
            image if axis in self.kept_spacing or low * trained <= image <= high * trained else trained
            for axis, image, trained in own
        )
        return z, y, x

    @property
    def from_end_zyx(self) -> tuple[bool, bool, bool]:
        """Whether `axes` runs against z, y and x: towards inferior, anterior or right."""
        z, y, x = (letter in self.axes for letter in "IAR")
        return z, y, x

    @property
    def keeps_spacing(self) -> bool:
        """Whether its voxel size depends on the image's (`spacing_on`)."""
        return bool(self.kept_spacing) or self.kept_within is not None

    @property
    def files(self) -> dict[str, str]:
        """The network's files by the field that names them."""
        return {"file": self.file, **({"fp16_file": self.fp16_file} if self.fp16_file else {})}

    @property
    def input_shape(self) -> Zyx:
        """The window in the network's own axis order."""
        return self.in_network_axes(self.window_zyx)

    def in_network_axes(self, sides_zyx: Zyx) -> Zyx:
        """Sides along z, y, x in the network's own axis order."""
        a, b, c = (sides_zyx[AXIS_LETTERS[letter]] for letter in self.axes)
        return a, b, c


@dataclass(frozen=True, kw_only=True)
class Member(Network):
    """One model of an ensemble."""

    tiling: Tiling = field(default_factory=Tiling)
    """How the image is covered by its windows."""
    weight: float = 1.0
    """Share of this member in the mean, relative to the others."""
    ensemble: str | None = None
    """Which ensemble it belongs to, in a bundle that joins several. Under fusion `cleaned_groups` the members
    of each are averaged and cleaned up by themselves, whatever their grids. Under `restored_ensembles` they
    are averaged and restored by themselves. Missing: members that share grid and windows belong together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.ensemble != "", "ensemble: must not be empty")
        every = isinstance(self.window, FixedWindow) or isinstance(self.tiling.order, AllWindows)
        check(every, f"window: any needs tiling.order all, is {self.tiling.order.kind}")
        even = isinstance(self.window, FixedWindow) or self.tiling.placement == "even"
        check(even, f"window: any needs tiling.placement even, is {self.tiling.placement}")
        check(self.weight > 0 and math.isfinite(self.weight), f"weight: must be above 0, is {self.weight}")


@dataclass(frozen=True, kw_only=True)
class Localization(Network):
    """A low-resolution network whose foreground bounds the region that the members look at."""

    margin_mm: float = 20.0
    """How far the region reaches beyond the organs found."""
    crop_axes: tuple[AxisName, ...] = ("y", "x")
    """Axes along which the region is cut; the FLARE23 low-resource ensemble cuts x and y only,
    since a tumor can be anywhere along head-foot."""
    skip_outside: bool = False
    """Windows farther than `margin_mm` from the organs found are not run; not for bundles that look for
    lesions anywhere."""
    whole_below_mm: float = 0.0
    """Scans that reach less far from feet to head are looked at whole: in a short stack a low-resolution
    network sees too little to cut by."""
    least_ml: float = 0.0
    """Where it finds less than so much of all organs together, there is no region and no organ is looked for;
    scans below `whole_below_mm` are not judged."""
    more_looks: int = 0
    """How often the members may look again at a larger region. Where a structure that they found goes on at a
    side of the region, the region grows there: by `margin_mm` for the second look, by twice as much for the
    third, and so on. All members see all of it again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(isinstance(self.window, FixedWindow), f"window: must be fixed here, is {self.window.kind}")
        check_between("least_ml", self.least_ml, 0, 1e4)
        check_between("more_looks", self.more_looks, 0, 9)
        check(
            not (self.skip_outside and self.more_looks),
            "skip_outside: leaves out what more_looks would look at; give only one of them",
        )
        check_between("margin_mm", self.margin_mm, 0, 500)
        check_between("whole_below_mm", self.whole_below_mm, 0, 500)
