"""Training recipes: what a network is, what it sees, how it is trained and how it is run.

A recipe is a YAML file of sections; a section that can be done in several ways is a tagged union (`kind: …`).
`training.recipes.loading` reads it, strictly: all unknown, missing and out-of-range fields are named at once.
"""

from dataclasses import dataclass, field
from typing import Literal

from model.arrays import Zyx, ZyxMm
from model.labels import BACKGROUND, FLARE23, LABEL_SETS, LabelSet, merged_channels
from model.manifest.document import Input
from model.manifest.intensity import WindowIntensity, ZscoreIntensity
from model.manifest.resampling import AreaResampling, Resampling
from model.manifest.tiling import CentreFirst
from model.networks.spec import NetworkSpec
from model.schema import SchemaError
from training.recipes.augmentation_options import Augmentation, usual_augmentation
from training.recipes.image_options import (
    FINGERPRINT,
    AnyIntensity,
    FingerprintIntensity,
    InputChannel,
    Modality,
)
from training.recipes.inference_options import Inference
from training.recipes.loss_options import Loss
from training.recipes.optimizer_options import AdamWOptimizer, Optimizer
from training.recipes.running_options import CurriculumStage, Pipeline, WeightAverage
from training.recipes.sampling_options import Sampling
from training.recipes.schedule_options import Schedule, WarmupCosineSchedule
from training.recipes.stopping_options import Stopping
from training.recipes.synthesis_options import Synthesis
from training.recipes.validation_options import Validation

FOREGROUND = "foreground"
SPACING_MM = (0.1, 20.0)
"""Range of voxel sizes; what lies outside is a mistake of units."""

Channels = Literal["merged", "plain", "foreground"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run does, apart from its data and its seed."""

    name: str
    """Short name, as on the command line."""
    description: str
    """One sentence on what it is for and where it comes from."""
    label_set: str | LabelSet
    """Label set that the truth follows: a built-in one by its name, e.g. flare23; a file beside the recipe;
    `data` for the one beside the training data (`labels.json` or nnU-Net's `dataset.json`); or the set
    itself, as files and `data` end up in checkpoints."""
    channels: Channels
    """`merged`: one channel for each left/right pair; `plain`: one for each structure; `foreground`: one for
    all together."""
    modality: Modality = "CT"
    """What the image's values are; windows of air are skipped in CT only."""
    spacing_zyx_mm: ZyxMm | Literal["fingerprint"]
    """Voxel size of the network's grid; `fingerprint`: the one proposed by the fingerprint of the training
    data (its median spacing, and nnU-Net's rule for a coarse axis)."""
    patch_zyx: Zyx
    """Size of a training patch, voxels."""
    intensity: AnyIntensity = field(default_factory=lambda: WindowIntensity(lower=-250.0, upper=250.0))
    """How an image's values become network input."""
    inputs: tuple[InputChannel, ...] | None = None
    """The channels of a case, where there are several; instead of `modality` and `intensity`."""
    resampling: Resampling = field(default_factory=AreaResampling)
    """How an image is brought to the network's grid."""
    normalize: Literal["before_resampling", "after_resampling"] = "after_resampling"
    """Whether values are normalized in the image's grid (nnU-Net) or in the network's."""
    network: NetworkSpec
    """The network; `out_channels` may be left out: the number of channels, background included, and
    `in_channels` too: the number of `inputs`."""
    loss: Loss = field(default_factory=Loss)
    """What is minimised."""
    optimizer: Optimizer = field(default_factory=AdamWOptimizer)
    """How the weights are changed."""
    schedule: Schedule = field(default_factory=WarmupCosineSchedule)
    """How the learning rate changes."""
    stopping: Stopping
    """When the run is done."""
    sampling: Sampling = field(default_factory=Sampling)
    """Which patches make a batch."""
    synthesis: Synthesis | None = None
    """Synthetic cases that are made while the network trains; missing: it sees the data alone."""
    augmentation: Augmentation = field(default_factory=usual_augmentation)
    """How patches are varied; missing: as by `demo`. Of a section that is stated, what it leaves out is not
    done."""
    validation: Validation = field(default_factory=Validation)
    """How the run is watched."""
    curriculum: tuple[CurriculumStage, ...] = ()
    """Stages with patch and batch sizes of their own, one after another, in the place of `patch_zyx` and
    `sampling.batch_size`."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """How the network computes in training; `auto`: the fastest that is safe on the device."""
    ema: WeightAverage | None = None
    """The average of the weights that is validated and exported; missing: the weights themselves are."""
    activation_checkpointing: bool = False
    """Whether activations are computed again for the gradients instead of kept: less memory, about a third
    more time, the same result."""
    pipeline: Pipeline | None = None
    """How the network is cut over processes; missing: each process has the whole of it."""
    compile: bool = False
    """Whether `torch.compile` fuses the network's operations; the first steps then take minutes, and results
    differ in the last digits."""
    checkpoint_every_steps: int = 100
    """Steps between checkpoints, from which an interrupted run resumes."""
    keep_every_steps: int | None = None
    """Steps between checkpoints that are kept for good, as `step-000500.safetensors`; missing: only the best
    and the last are."""
    inference: Inference = field(default_factory=Inference)
    """How the trained network is run."""

    def __post_init__(self) -> None:
        faults = [
            *self._faults_of_images(),
            *self._faults_of_network(),
            *self._faults_of_running(),
            *self._faults_of_inference(),
            *self._faults_of_synthesis(),
        ]
        if faults:
            raise SchemaError(*faults)

    @property
    def labels(self) -> LabelSet:
        """The label set that the truth follows."""
        return LABEL_SETS[self.label_set] if isinstance(self.label_set, str) else self.label_set

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each output channel stands for, background first."""
        return channel_names(self.labels, self.channels)

    @property
    def window_zyx(self) -> Zyx:
        """Voxels that the network sees at a time when it is run."""
        return self.inference.window_zyx or self.patch_zyx

    @property
    def stated_inputs(self) -> tuple[InputChannel, ...]:
        """The channels of a case as the recipe states them, one where it states no `inputs`."""
        if self.inputs is not None:
            return self.inputs
        return (InputChannel(name=self.modality, modality=self.modality, intensity=self.intensity),)

    @property
    def case_inputs(self) -> tuple[Input, ...]:
        """The channels of a case, with the figures of their intensities.

        Raises:
            SchemaError: the figures are those of a fingerprint that was not put in yet.
        """
        found = []
        for channel in self.stated_inputs:
            if isinstance(channel.intensity, FingerprintIntensity):
                raise SchemaError("intensity: from_fingerprint has no figures without training data")
            found.append(Input(name=channel.name, modality=channel.modality, intensity=channel.intensity))
        return tuple(found)

    @property
    def voxel_zyx_mm(self) -> ZyxMm:
        """Voxel size of the network's grid.

        Raises:
            SchemaError: it is that of a fingerprint that was not put in yet.
        """
        if isinstance(self.spacing_zyx_mm, str):
            raise SchemaError("spacing_zyx_mm: fingerprint is no spacing without training data")
        return self.spacing_zyx_mm

    @property
    def takes_from_fingerprint(self) -> bool:
        """Whether spacing or intensity are still to be taken from the fingerprint of the data."""
        intensities = [channel.intensity for channel in self.stated_inputs]
        return self.spacing_zyx_mm == FINGERPRINT or any(
            isinstance(intensity, FingerprintIntensity) for intensity in intensities
        )

    @property
    def values_limits(self) -> tuple[float, float] | None:
        """Lowest and highest value of every input channel; None where values have no ends."""
        intensities = [channel.intensity for channel in self.stated_inputs]
        return (0.0, 1.0) if all(isinstance(one, WindowIntensity) for one in intensities) else None

    def _faults_of_images(self) -> list[str]:
        faults = []
        low, high = SPACING_MM
        spacing = self.spacing_zyx_mm
        if not isinstance(spacing, str) and not all(low <= mm <= high for mm in spacing):
            faults.append(f"spacing_zyx_mm: must be {low:g} to {high:g}, is {list(spacing)}")
        filled = any(
            isinstance(channel.intensity, ZscoreIntensity) and channel.intensity.over == "nonzero_filled"
            for channel in self.stated_inputs
        )
        if filled and self.normalize == "after_resampling":
            faults.append("normalize: must be before_resampling for zscore over nonzero_filled")
        if self.inputs is not None and not self.inputs:
            faults.append("inputs: must have at least one")
        return faults

    def _faults_of_network(self) -> list[str]:
        faults = []
        windows = {"patch_zyx": self.patch_zyx, "inference.window_zyx": self.window_zyx}
        for name, window in windows.items():
            try:
                self.network.check_patch(window)
            except ValueError as error:
                faults.append(f"{name}: {error}")
        if self.window_zyx == self.patch_zyx:
            faults = faults[:1]
        wanted = len(self.stated_inputs)
        if self.network.in_channels != wanted:
            faults.append(
                f"network.in_channels: must be {wanted}, one for each of inputs, is "
                f"{self.network.in_channels}"
            )
        levels, weights = self.network.outputs, self.loss.level_weights
        if weights is not None and len(weights) != levels:
            faults.append(f"loss.level_weights: must be {levels} for this network, are {len(weights)}")
        return faults

    def _faults_of_running(self) -> list[str]:
        faults = []
        for name in ("checkpoint_every_steps", "keep_every_steps"):
            steps = getattr(self, name)
            if steps is not None and not 1 <= steps <= 10_000_000:
                faults.append(f"{name}: must be 1 to 1e+07, is {steps}")
        if self.pipeline is not None:
            faults += self._faults_of_pipeline(self.pipeline)
        if self.compile and self.activation_checkpointing and getattr(self.network, "norm", None) == "batch":
            faults.append("compile: must be false with activation_checkpointing for networks with batch norm")
        parts = self.optimizer.accumulate_steps
        sizes = {"sampling.batch_size": self.sampling.batch_size}
        for index, stage in enumerate(self.curriculum):
            sizes[f"curriculum[{index}].batch_size"] = stage.batch_size
            if not isinstance(stage.patch_zyx, str):
                try:
                    self.network.check_patch(stage.patch_zyx)
                except ValueError as error:
                    faults.append(f"curriculum[{index}].patch_zyx: {error}")
        if self.curriculum:
            del sizes["sampling.batch_size"]
        elif isinstance(self.sampling.batch_size, str) and parts > 1:
            faults.append(
                f"optimizer.accumulate_steps: must be 1 where sampling.batch_size is auto, is {parts}"
            )
        faults += [
            f"{name}: must be a multiple of optimizer.accumulate_steps ({parts}), is {size}"
            for name, size in sizes.items()
            if not isinstance(size, str) and size % parts
        ]
        return faults

    def _faults_of_pipeline(self, pipeline: Pipeline) -> list[str]:
        faults = []
        blocks = 2 * len(self.network.strides_zyx) + 1
        if pipeline.stages is not None and pipeline.stages > blocks:
            faults.append(
                f"pipeline.stages: must be at most {blocks}, the blocks of this network, is {pipeline.stages}"
            )
        if self.sampling.batch_size == "auto" and not self.curriculum:
            faults.append("sampling.batch_size: must be a number with pipeline")
        if self.compile:
            faults.append("compile: must be false with pipeline, whose stages run block by block")
        return faults

    def _faults_of_inference(self) -> list[str]:
        """Faults of what depends on the label set."""
        if isinstance(self.label_set, str) and self.label_set not in LABEL_SETS:
            return [f"label_set: must be one of {', '.join(LABEL_SETS)}, is {self.label_set!r}"]
        faults = self.inference.unknown_structures(self.labels)
        faults += self.loss.unknown_channels(self.channel_names)
        faults += self.loss.at_odds()
        wanted, found = len(self.channel_names), self.network.out_channels
        if found != wanted:
            of = f"{self.channels} {self.labels.name}"
            faults.append(f"network.out_channels: must be {wanted} for {of}, is {found}")
        order = self.inference.tiling.order
        for name in order.passing_through if isinstance(order, CentreFirst) else ():
            if name not in self.channel_names:
                faults.append(f"inference.tiling.order.passing_through: {name} is not among the channels")
        if self.inference.any_window and isinstance(order, CentreFirst):
            faults.append("inference.any_window: needs tiling.order all, is centre_first")
        if self.inference.any_window and self.channels == FOREGROUND:
            faults.append("inference.any_window: is not for recipes with channels: foreground")
        if self.inference.localization is not None and self.channels != FOREGROUND:
            faults.append("inference.localization: is for recipes with channels: foreground")
        return faults

    def _faults_of_synthesis(self) -> list[str]:
        if self.synthesis is None:
            return []
        faults = []
        if [one.modality for one in self.stated_inputs] != ["CT"]:
            faults.append("synthesis: makes CTs, for networks whose one input is a CT")
        if self.curriculum:
            faults.append("synthesis: not together with curriculum, whose stages count patches anew")
        is_known = not isinstance(self.label_set, str) or self.label_set in LABEL_SETS
        # A structure more would be taught to be background.
        if is_known and dict(self.labels.ids) != dict(FLARE23.ids):
            faults.append(
                f"synthesis: makes cases of flare23's structures; label set {self.labels.name} has others"
            )
        return faults


def channel_names(labels: LabelSet, channels: Channels) -> tuple[str, ...]:
    """What each output channel stands for, background first."""
    if channels == "foreground":
        return (BACKGROUND, FOREGROUND)
    return merged_channels(labels) if channels == "merged" else (BACKGROUND, *labels.names)
