"""The whole of a bundle's `manifest.json`: all that inference must know, and nothing executable.

Arrays are (z, y, x) in canonical LPS orientation: z towards superior, y towards posterior, x towards the
patient's left. `spacing_zyx_mm` and `window_zyx` are always in that order; `axes` says how a window is turned
for the network.

What others' models are in these words:

| made by | axes | intensity | normalized | resampling | averaged |
|---|---|---|---|---|---|
| LeanSeg recipes | SPL | window | after resampling | area | probabilities |
| nnU-Net v2, CT | SPL | clip_zscore | before resampling | separate_axis | logits |
| nnU-Net v2, MR | SPL | zscore | before resampling | separate_axis | logits |
| MONAI Auto3DSeg SegResNet, CT | RAS | window_sigmoid | after resampling | linear | probabilities |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from model.arrays import ZyxMm
from model.checks import check, check_between, check_printable
from model.manifest.clean_up import CleanUpStep
from model.manifest.fusion import CleanedGroupsFusion, Fusion, MeanFusion, RestoredEnsemblesFusion
from model.manifest.intensity import Intensity, needs_mask
from model.manifest.network import Localization, Member, Network, lies_inside
from model.manifest.output import Output
from model.manifest.resampling import LinearResampling, Resampling, Restoration
from model.manifest.tiling import CentreFirst
from model.manifest.window import LARGEST_SIDE
from model.schema import dump, texts_of

FORMAT_VERSION = 2
N = TypeVar("N", bound=Network)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One channel of a case: a file `CASE_0000`, `CASE_0001` … each, in this order."""

    name: str
    """What it is called, e.g. `CT`, `T2`."""
    modality: Literal["CT", "MR", "PET", "other"]
    """What its values are; CT: Hounsfield units, in which air and the body's outline can be told."""
    intensity: Intensity
    """How its values become network input."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What happens to a case before windows are cut from it."""

    orientation: Literal["canonical", "stored", "ras"] = "canonical"
    """`canonical`: arrays are turned to S, P, L first. `stored`: they stay as the file has them, which most
    readers of nnU-Net do. `ras`: they are turned to S, A, R (nnU-Net's `NibabelIOWithReorient`). S, P, L in
    `axes` then stand for the first, second and third axis of these arrays, wherever they run."""
    crop: Literal["none", "nonzero", "positive"] = "none"
    """`nonzero`: to the box around voxels that are not 0 in any channel (nnU-Net). `positive`: around those
    that are above 0 in any channel (MONAI `CropForeground`)."""
    crop_margin: int = 0
    """Voxels by which that box is larger on every side, as far as the image reaches."""
    normalize: Literal["before_resampling", "after_resampling"] = "after_resampling"
    """Whether voxels are normalized in the image's grid (nnU-Net) or in the network's."""
    figures_on: Literal["image", "network"] = "image"
    """On which grid figures are taken that an intensity takes from each image: the image's own, or the
    network's (MONAI)."""
    grid: Literal["edges", "first_voxel"] = "edges"
    """How a network's grid lies over the image. `edges`: both end at the same edges (nnU-Net). `first_voxel`:
    the centres of their first voxels, counted along the network's `axes`, are the same (MONAI `Spacing`)."""
    resampling: Resampling = field(default_factory=LinearResampling)
    """How an image is brought to a network's grid."""

    def __post_init__(self) -> None:
        check_between("crop_margin", self.crop_margin, 0, LARGEST_SIDE)
        late = self.figures_on == "image" or self.normalize == "after_resampling"
        check(late, f"figures_on: must be image where normalize is {self.normalize}")
        either = self.grid == "edges" or isinstance(self.resampling, LinearResampling)
        check(either, f"resampling: must be linear where grid is {self.grid}, is {self.resampling.kind}")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model came from and what it is for."""

    recipe: str
    """How it was trained, or what it was imported from."""
    git_revision: str
    """Revision of the program that made the bundle."""
    data: str
    """What it was trained on."""
    licence: str
    """Licence of the weights."""
    intended_use: str
    """What it is for, and what not."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of `manifest.json`."""

    format_version: int = FORMAT_VERSION
    """2."""
    name: str
    """Name of the bundle."""
    inputs: tuple[Input, ...]
    """The channels of a case."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """What happens to a case before windows are cut from it."""
    members: tuple[Member, ...]
    """The networks of the ensemble."""
    fusion: Fusion = field(default_factory=MeanFusion)
    """How members become one result."""
    restoration: Restoration = field(default_factory=LinearResampling)
    """How the result is interpolated from the network's grid to the image's."""
    output: Output
    """What channels mean and which label map is written."""
    postprocessing: tuple[CleanUpStep, ...] = ()
    """Clean-up steps, in order."""
    localization: Localization | None = None
    """A network that finds the region of interest first."""
    provenance: Provenance
    """Where the model came from."""
    files: Mapping[str, str]
    """SHA-256, in hexadecimal, of every ONNX file that a network names (`sha256sum FILE` prints it)."""

    def __post_init__(self) -> None:
        version = self.format_version
        check(version == FORMAT_VERSION, f"format_version: this release reads {FORMAT_VERSION}, is {version}")
        for where, text in texts_of(dump(self)):
            check_printable(where, text)
        check(bool(self.inputs), "inputs: must have at least one")
        check(bool(self.members), "members: must have at least one")
        for where, network in self.networks().items():
            self._check_network(where, network)
        self._check_shared_files()
        for file, digest in self.files.items():
            valid = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
            check(lies_inside(file), f"files.{file}: must lie in the bundle")
            check(valid, f"files.{file}: must be 64 hexadecimal digits, is {digest!r}")
        self._check_steps("postprocessing", self.postprocessing)
        for name, steps in self._own_clean_up.items():
            known = any(member.ensemble == name for member in self.members)
            check(known, f"fusion.clean_up.{name}: no member names this ensemble")
            self._check_steps(f"fusion.clean_up.{name}", steps)
        if self.preprocessing.grid == "first_voxel":
            self._check_one_grid()
        as_stored = isinstance(self.fusion, MeanFusion | RestoredEnsemblesFusion)
        turned = self.preprocessing.orientation == "canonical" or as_stored
        check(turned, f"fusion: {self.fusion.kind} needs preprocessing.orientation canonical")

    def _check_one_grid(self) -> None:
        """Grids that begin at a voxel's centre end anywhere, and so are not brought together."""
        first, where = self.members[0], "preprocessing.grid: first_voxel needs"
        for name in ("spacing_zyx_mm", "kept_spacing", "kept_within", "axes"):
            same = all(getattr(member, name) == getattr(first, name) for member in self.members)
            check(same, f"{where} members of one {name}")
        own = any(member.resampling is not None for member in self.members)
        check(not own, f"{where} that no member has a resampling of its own")
        check(self.localization is None, f"{where} that there is no localization")
        check(isinstance(self.fusion, MeanFusion), f"{where} fusion mean, is {self.fusion.kind}")
        linear = isinstance(self.restoration, LinearResampling)
        check(linear, f"{where} restoration linear, is {self.restoration.kind}")

    def _check_steps(self, where: str, steps: Sequence[CleanUpStep]) -> None:
        for index, step in enumerate(steps):
            for structure in step.structures:
                known = structure in self.output.labels
                check(known, f"{where}[{index}].structures: {structure} is not among output.labels")

    def _check_network(self, where: str, network: Network) -> None:
        for name, file in network.files.items():
            check(file in self.files, f"{where}.{name}: {file!r} has no hash in files; add it there")
        given = network.intensities
        count = len(self.inputs)
        check(
            given is None or len(given) == count,
            f"{where}.intensities: must be one for each of the {count} inputs",
        )
        filled = any(needs_mask(intensity) for intensity in self.intensities_of(network))
        early = self.preprocessing.normalize == "before_resampling"
        check(
            early or not filled,
            "preprocessing.normalize: must be before_resampling for zscore over nonzero_filled",
        )
        order = network.tiling.order if isinstance(network, Member) else None
        for name in order.passing_through if isinstance(order, CentreFirst) else ():
            known = name in self.output.channels
            check(known, f"{where}.tiling.order.passing_through: {name} is not among output.channels")

    def _check_shared_files(self) -> None:
        """Networks of one file are loaded once, so that they must want the same of it."""
        first: dict[str, tuple[str, Network]] = {}
        for where, network in self.networks().items():
            other, known = first.setdefault(network.file, (where, network))
            for name in ("input_shape", "window", "precision", "fp16_file", "memory_mb"):
                same = getattr(network, name) == getattr(known, name)
                field = "window_zyx and axes" if name == "input_shape" else name
                check(same, f"{where}.{field}: must be as in {other}, which has the same file")

    def networks(self) -> dict[str, Network]:
        """Every network by its place in the manifest, e.g. `members[0]`."""
        found: dict[str, Network] = {f"members[{i}]": member for i, member in enumerate(self.members)}
        if self.localization is not None:
            found["localization"] = self.localization
        return found

    def over(self, image_zyx_mm: ZyxMm) -> "Manifest":
        """The same with the voxel sizes that its networks have over an image (`Network.spacing_on`)."""
        if not any(network.keeps_spacing for network in self.networks().values()):
            return self

        def resolved(network: N) -> N:
            return replace(network, spacing_zyx_mm=network.spacing_on(image_zyx_mm))

        found = self.localization
        return replace(
            self,
            members=tuple(map(resolved, self.members)),
            localization=None if found is None else resolved(found),
        )

    def intensities_of(self, network: Network) -> tuple[Intensity, ...]:
        """How each channel's values become this network's input."""
        return network.intensities or tuple(channel.intensity for channel in self.inputs)

    def resampling_of(self, network: Network) -> Resampling:
        """How images are brought to this network's grid."""
        return network.resampling or self.preprocessing.resampling

    @property
    def _own_clean_up(self) -> Mapping[str, tuple[CleanUpStep, ...]]:
        return self.fusion.clean_up if isinstance(self.fusion, CleanedGroupsFusion) else {}

    def clean_up_of(self, ensemble: str | None) -> tuple[CleanUpStep, ...]:
        """The steps that the result of an ensemble's members is cleaned up by."""
        return self._own_clean_up.get(ensemble or "", self.postprocessing)

    @property
    def cleans_before_fusion(self) -> bool:
        """Whether there is anything to clean up before members of different groups are averaged."""
        cleaned = isinstance(self.fusion, CleanedGroupsFusion)
        return cleaned and any(self.clean_up_of(member.ensemble) for member in self.members)

    @property
    def ct_channel(self) -> int | None:
        """The first input that is a CT, by which air and the body's outline are told.

        None where there is none.
        """
        return next((i for i, channel in enumerate(self.inputs) if channel.modality == "CT"), None)
