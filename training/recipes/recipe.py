"""Training recipes: what a network is, what it sees, how it is trained and how it is run.

A recipe is a YAML file of sections; a section that can be done in several ways is a tagged union (`kind: …`).
`training.recipes.loading` reads it, strictly: all unknown, missing and out-of-range fields are named at once.
"""

from dataclasses import dataclass, field
from typing import Literal

from model.arrays import Zyx, ZyxMm
from model.labels import BACKGROUND, LABEL_SETS, LabelSet, merged_channels
from model.manifest.intensity import Intensity, WindowIntensity, ZscoreIntensity
from model.manifest.resampling import AreaResampling, Resampling
from model.manifest.tiling import CentreFirst
from model.networks.spec import NetworkSpec
from model.schema import SchemaError
from training.recipes.augmentation_options import Augmentation
from training.recipes.inference_options import Inference
from training.recipes.loss_options import Loss
from training.recipes.optimizer_options import AdamWOptimizer, Optimizer
from training.recipes.running_options import WHOLE, CurriculumStage, WeightAverage
from training.recipes.sampling_options import AUTO, Sampling
from training.recipes.schedule_options import Schedule, WarmupCosineSchedule
from training.recipes.stopping_options import Stopping
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
    modality: Literal["CT", "MR", "PET", "other"] = "CT"
    """What the image's values are; windows of air are skipped in CT only."""
    spacing_zyx_mm: ZyxMm
    """Voxel size of the network's grid."""
    patch_zyx: Zyx
    """Size of a training patch, voxels."""
    intensity: Intensity = field(default_factory=lambda: WindowIntensity(lower=-250.0, upper=250.0))
    """How an image's values become network input."""
    resampling: Resampling = field(default_factory=AreaResampling)
    """How an image is brought to the network's grid."""
    normalize: Literal["before_resampling", "after_resampling"] = "after_resampling"
    """Whether values are normalized in the image's grid (nnU-Net) or in the network's."""
    network: NetworkSpec
    """The network; `out_channels` may be left out: the number of channels, background included."""
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
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How patches are varied."""
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
    def values_limits(self) -> tuple[float, float] | None:
        """Lowest and highest value of an image after its intensity; None where values have no ends."""
        return (0.0, 1.0) if isinstance(self.intensity, WindowIntensity) else None

    def _faults_of_images(self) -> list[str]:
        faults = []
        low, high = SPACING_MM
        if not all(low <= spacing <= high for spacing in self.spacing_zyx_mm):
            faults.append(f"spacing_zyx_mm: must be {low:g} to {high:g}, is {list(self.spacing_zyx_mm)}")
        filled = isinstance(self.intensity, ZscoreIntensity) and self.intensity.over == "nonzero_filled"
        if filled and self.normalize == "after_resampling":
            faults.append("normalize: must be before_resampling for zscore over nonzero_filled")
        return faults

    def _faults_of_network(self) -> list[str]:
        faults = []
        windows = {"patch_zyx": self.patch_zyx, "inference.window_zyx": self.window_zyx}
        for name, window in windows.items():
            try:
                self.network.check_window(window)
            except ValueError as error:
                faults.append(f"{name}: {error}")
        if self.window_zyx == self.patch_zyx:
            faults = faults[:1]
        if self.network.in_channels != 1:
            faults.append(
                f"network.in_channels: must be 1, is {self.network.in_channels}; training reads the first "
                "channel of a case only"
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
        parts = self.optimizer.accumulate_steps
        sizes = {"sampling.batch_size": self.sampling.batch_size}
        for index, stage in enumerate(self.curriculum):
            sizes[f"curriculum[{index}].batch_size"] = stage.batch_size
            if stage.patch_zyx != WHOLE:
                try:
                    self.network.check_window(stage.patch_zyx)
                except ValueError as error:
                    faults.append(f"curriculum[{index}].patch_zyx: {error}")
        if self.curriculum:
            del sizes["sampling.batch_size"]
        faults += [
            f"{name}: must be a multiple of optimizer.accumulate_steps ({parts}), is {size}"
            for name, size in sizes.items()
            if size != AUTO and size % parts
        ]
        return faults

    def _faults_of_inference(self) -> list[str]:
        """Faults of what depends on the label set."""
        if isinstance(self.label_set, str) and self.label_set not in LABEL_SETS:
            return [f"label_set: must be one of {', '.join(LABEL_SETS)}, is {self.label_set!r}"]
        faults = self.inference.unknown_structures(self.labels)
        faults += self.loss.unknown_channels(self.channel_names)
        wanted, found = len(self.channel_names), self.network.out_channels
        if found != wanted:
            of = f"{self.channels} {self.labels.name}"
            faults.append(f"network.out_channels: must be {wanted} for {of}, is {found}")
        order = self.inference.tiling.order
        for name in order.passing_through if isinstance(order, CentreFirst) else ():
            if name not in self.channel_names:
                faults.append(f"inference.tiling.order.passing_through: {name} is not among the channels")
        if self.inference.localization is not None and self.channels != FOREGROUND:
            faults.append("inference.localization: is for recipes with channels: foreground")
        return faults


def channel_names(labels: LabelSet, channels: Channels) -> tuple[str, ...]:
    """What each output channel stands for, background first."""
    if channels == "foreground":
        return (BACKGROUND, FOREGROUND)
    return merged_channels(labels) if channels == "merged" else (BACKGROUND, *labels.names)
