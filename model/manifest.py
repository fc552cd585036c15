"""What a bundle's `manifest.json` says: everything that inference must know about a model, and nothing executable.

Arrays are (z, y, x) in canonical LPS orientation: z towards superior, y towards posterior, x towards the
patient's left. `spacing_zyx_mm` and `window_zyx` are always in that order; `axes` says how a window is turned
for the network.

| who made the model | axes | intensity | interpolation |
|---|---|---|---|
| LeanSeg recipes | SPL | window | area |
| nnU-Net v2 (SimpleITK arrays) | SPL | clip_zscore (CT), zscore (MR) | cubic |
| MONAI Auto3DSeg SegResNet (RAS, x first) | RAS | window_sigmoid (CT), zscore (MR) | linear |
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from model.labels import BACKGROUND, LabelSet, Pair, channel_ids

FORMAT_VERSION = 1
Zyx = tuple[int, int, int]
ZyxMm = tuple[float, float, float]
AXIS_LETTERS = {"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}
"""Canonical array axis that a letter of `axes` runs along."""

MOST_MB = 1 << 24
"""Of a network's memory; beyond 16 TiB a number is a mistake, infinity and NaN too."""
MOST_STRUCTURES = 254
"""Channels without background: label maps and channel indices are uint8."""


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _lies_inside(file: str) -> bool:
    return bool(file) and not file.startswith("/") and "\\" not in file and ".." not in file.split("/")


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """How voxel values become network input. Percentile bounds and moments are in HU for CT.

    - `window`: clip to [lower, upper], then linearly to [0, 1] (FLARE23 low-resource ensemble).
    - `window_sigmoid`: [lower, upper] linearly to [-1, 1] without clipping, then the logistic function (MONAI
      Auto3DSeg).
    - `clip_zscore`: clip to [lower, upper], subtract `mean`, divide by `std`, all from the data set's
      foreground (nnU-Net CT).
    - `zscore`: subtract the image's own mean, divide by its own deviation (nnU-Net MR).
    """

    scheme: Literal["window", "window_sigmoid", "clip_zscore", "zscore"]
    lower: float | None = None
    upper: float | None = None
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        wanted = {"window": {"lower", "upper"}, "window_sigmoid": {"lower", "upper"}, "zscore": set()}
        needed = wanted.get(self.scheme, {"lower", "upper", "mean", "std"})
        for name in ("lower", "upper", "mean", "std"):
            value = getattr(self, name)
            _check(
                (value is not None) == (name in needed),
                f"{name}: {'missing' if value is None else 'not used'} with {self.scheme}",
            )
            _check(value is None or math.isfinite(value), f"{name}: must be finite")
        if self.lower is not None and self.upper is not None:
            _check(self.lower < self.upper, f"upper: must be above lower ({self.lower}), is {self.upper}")
        _check(self.std is None or self.std > 0, f"std: must be above 0, is {self.std}")


@dataclass(frozen=True, kw_only=True)
class Network:
    """One ONNX file with its own preprocessing: input (1, 1, *window) float32, output logits (1, channels, *window)."""

    file: str
    """Path of the ONNX file relative to the manifest."""
    spacing_zyx_mm: ZyxMm
    window_zyx: Zyx
    intensity: Intensity
    axes: str = "SPL"
    """Direction that each array axis of the network's input runs to, e.g. RAS: x first, towards the patient's
    right."""
    interpolation: Literal["linear", "area", "cubic"] = "linear"
    """How the image is brought to `spacing_zyx_mm`; `area` first averages whole blocks of voxels that fit
    into one of the network's."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Lowest precision in which `file` may be computed: agreement with fp32 was shown."""
    fp16_file: str | None = None
    """The same network as an ONNX file that computes in fp16, for GPUs; input and output are float32 all the
    same. None where agreement with fp32 was not shown."""
    memory_mb: Mapping[str, int] | None = None
    """Peak memory in MiB of loading the network and running one window, by way to run it, e.g.
    `openvino-bf16`, `onnxruntime-fp32`; measured by export. None: estimated from the window."""

    def __post_init__(self) -> None:
        for name, file in self.files.items():
            _check(_lies_inside(file), f"{name}: must lie in the bundle, is {file!r}")
        _check(
            all(0.1 <= s <= 20 for s in self.spacing_zyx_mm),
            f"spacing_zyx_mm: must be 0.1 to 20 mm, is {self.spacing_zyx_mm}",
        )
        _check(
            all(8 <= w <= 1024 for w in self.window_zyx),
            f"window_zyx: must be 8 to 1024 voxels, is {self.window_zyx}",
        )
        along = [AXIS_LETTERS.get(letter) for letter in self.axes]
        _check(
            sorted(a for a in along if a is not None) == [0, 1, 2],
            f"axes: must name each of S/I, P/A, L/R once, is {self.axes!r}",
        )
        for way, mb in (self.memory_mb or {}).items():
            _check(
                0 < mb <= MOST_MB,
                f"memory_mb.{way}: must be above 0 and at most {MOST_MB} MiB, is {str(mb)[:20]}",
            )

    @property
    def files(self) -> dict[str, str]:
        """The network's files by the field that names them."""
        return (
            {"file": self.file}
            if self.fp16_file is None
            else {"file": self.file, "fp16_file": self.fp16_file}
        )


@dataclass(frozen=True, kw_only=True)
class Member(Network):
    """One model of an ensemble."""

    overlap: float = 0.5
    """Share of a window that neighbouring windows cover again, per axis, 0 to 0.9."""
    importance: Literal["gaussian", "constant"] = "gaussian"
    window_strategy: Literal["full_grid", "centre_first"] = "full_grid"
    mirror_axes: tuple[Literal["z", "y", "x"], ...] = ()
    """Axes over whose every combination of flips the output is averaged."""
    skip_air: bool = True
    """Windows of a CT that hold nothing but air are not run; what no window covers is background."""
    weight: float = 1.0
    """Share of this member in the mean of probabilities, relative to the others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 <= self.overlap <= 0.9, f"overlap: must be 0 to 0.9, is {self.overlap}")
        _check(
            len(set(self.mirror_axes)) == len(self.mirror_axes),
            f"mirror_axes: names an axis twice, is {list(self.mirror_axes)}",
        )
        _check(self.weight > 0 and math.isfinite(self.weight), f"weight: must be above 0, is {self.weight}")


@dataclass(frozen=True, kw_only=True)
class Localization(Network):
    """A low-resolution network whose foreground bounds the region that the members look at."""

    margin_mm: float = 20.0
    crop_axes: tuple[Literal["z", "y", "x"], ...] = ("y", "x")
    """Method A crops x and y only: a tumor can be anywhere along head-foot."""
    skip_outside: bool = False
    """Windows that are farther than `margin_mm` from the organs found are not run; not for bundles that look
    for tumors anywhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 <= self.margin_mm <= 500, f"margin_mm: must be 0 to 500, is {self.margin_mm}")


@dataclass(frozen=True, kw_only=True)
class PairNames:
    """A left/right pair of a label set: `inference.postprocessing.laterality` splits the merged channel."""

    merged: str
    right: str
    left: str


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the networks' channels mean and which label map is written."""

    label_set: str
    labels: Mapping[str, int]
    """Structure name to id in the written label map, 1 to 255."""
    channels: tuple[str, ...]
    """Meaning of each output channel, a structure or the merged name of a pair; `background` first under
    softmax, absent under sigmoid."""
    activation: Literal["softmax", "sigmoid"] = "softmax"
    """Sigmoid channels are thresholded at 0.5; where several are on, the later channel wins (nnU-Net's
    regions)."""
    pairs: tuple[PairNames, ...] = ()

    def __post_init__(self) -> None:
        labels = self.as_label_set()
        _check(len(set(self.channels)) == len(self.channels), "channels: a name stands twice")
        if self.activation == "softmax":
            _check(self.channels[:1] == (BACKGROUND,), "channels: must begin with background under softmax")
        structures = self.channels[1:] if self.activation == "softmax" else self.channels
        _check(bool(structures), "channels: no structure")
        _check(
            len(structures) <= MOST_STRUCTURES,
            f"channels: at most {MOST_STRUCTURES} structures, are {len(structures)}",
        )
        for index, channel in enumerate(self.channels):
            if channel in structures:
                try:
                    channel_ids(labels, channel)
                except ValueError as error:
                    raise ValueError(f"channels[{index}]: {error}") from error

    def as_label_set(self) -> LabelSet:
        """The label set that the written label map follows."""
        try:
            pairs = tuple(Pair(merged=p.merged, right=p.right, left=p.left) for p in self.pairs)
            return LabelSet(name=self.label_set, ids=self.labels, pairs=pairs)
        except ValueError as error:
            raise ValueError(f"labels: {error}") from error


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Clean-up of one structure after left and right are split, in the order of the fields."""

    keep: Literal["all", "largest_3d", "longest_1d"] = "all"
    """`longest_1d`: of the slices along z that hold the structure, the longest unbroken run (method A)."""
    min_voxels: int = 0
    """Fewer voxels than this in total, counted on the input grid: the structure is removed."""
    min_volume_mm3: float = 0.0
    """Connected parts smaller than this are removed."""
    max_distance_to_organs_mm: float | None = None
    """Connected parts farther than this from every other structure are removed; meant for tumors. None: at
    any distance."""

    def __post_init__(self) -> None:
        _check(self.min_voxels >= 0, f"min_voxels: must be 0 or more, is {self.min_voxels}")
        _check(self.min_volume_mm3 >= 0, f"min_volume_mm3: must be 0 or more, is {self.min_volume_mm3}")
        reach = self.max_distance_to_organs_mm
        _check(
            reach is None or 0 < reach <= 500,
            f"max_distance_to_organs_mm: must be above 0 and at most 500, is {reach}",
        )


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model came from and what it is for."""

    recipe: str
    git_revision: str
    data: str
    licence: str
    intended_use: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of `manifest.json`."""

    name: str
    modality: Literal["CT", "MR"]
    output: Output
    members: tuple[Member, ...]
    provenance: Provenance
    files: Mapping[str, str]
    """SHA-256 of every file of the bundle except the manifest, in hexadecimal."""
    localization: Localization | None = None
    fuse: Literal["mean_probability", "after_postprocessing"] = "mean_probability"
    """`after_postprocessing`: `postprocessing` is applied to each group of members with the same windows
    before they are averaged."""
    crop_after_first: bool = False
    """The first member runs alone; where it found no tumor above or below the organs, the others see only the
    slices of the organs (method A)."""
    postprocessing: Mapping[str, PostProcessing] | None = None
    """Structure name to clean-up; structures that are not named are left as they are."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        _check(
            self.format_version == FORMAT_VERSION,
            f"format_version: this release reads {FORMAT_VERSION}, is {self.format_version}",
        )
        _check(bool(self.members), "members: must have at least one")
        for where, network in self.networks().items():
            for name, file in network.files.items():
                _check(file in self.files, f"{where}.{name}: {file!r} has no hash in files")
        for file, digest in self.files.items():
            valid = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
            _check(_lies_inside(file), f"files.{file}: must lie in the bundle")
            _check(valid, f"files.{file}: must be 64 hexadecimal digits, is {digest!r}")
        together = self.crop_after_first and self.fuse == "after_postprocessing"
        _check(not together, "crop_after_first: cannot be used with fuse after_postprocessing")
        for structure in self.postprocessing or {}:
            _check(structure in self.output.labels, f"postprocessing.{structure}: not among output.labels")

    def networks(self) -> dict[str, Network]:
        """Every network by its place in the manifest, e.g. `members[0]`."""
        found: dict[str, Network] = {f"members[{i}]": member for i, member in enumerate(self.members)}
        if self.localization is not None:
            found["localization"] = self.localization
        return found
