"""Training recipes: what a network is, what it sees and how it is trained, in one YAML file.

`load_recipe` refuses unknown, missing and out-of-range fields with the field's name: `optimizer.steps: must
be above 0, is -5`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from model.labels import BACKGROUND, LABEL_SETS, LabelSet, merged_channels
from model.manifest import Intensity, Zyx, ZyxMm
from model.networks.spec import NetworkSpec
from model.schema import SchemaError, parse
from training.training_errors import RecipeError

RECIPES = Path(__file__).parent
FOREGROUND = "foreground"
INTERPOLATION: Literal["area"] = "area"
"""How images are brought to the network's grid, in training and at inference
(`model.manifest.Network.interpolation`)."""


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: must be {low:g} to {high:g}, is {value:g}")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Dice + focal, summed over the levels of deep supervision with weight 1/2^i."""

    focal_gamma: float = 2.0
    """Exponent that plays down easy voxels; 0 makes the focal term cross entropy."""
    dice_weight: float = 1.0
    """Weight of the Dice term."""
    focal_weight: float = 1.0
    """Weight of the focal term."""

    def __post_init__(self) -> None:
        _between("focal_gamma", self.focal_gamma, 0, 5)
        _between("dice_weight", self.dice_weight, 0, 100)
        _between("focal_weight", self.focal_weight, 0, 100)


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW with linear warm-up and cosine decay to zero."""

    steps: int
    """Optimizer steps of the whole run; the schedule ends here."""
    learning_rate: float = 2e-4
    """Peak learning rate, reached at the end of the warm-up."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""
    batch_size: int = 1
    """Patches per step."""
    clip_norm: float = 1.0
    """Gradients with a larger norm than this are scaled down to it."""

    def __post_init__(self) -> None:
        _between("steps", self.steps, 1, 10_000_000)
        _between("learning_rate", self.learning_rate, 1e-8, 1)
        _between("weight_decay", self.weight_decay, 0, 1)
        _between("warmup_steps", self.warmup_steps, 0, 1_000_000)
        _between("batch_size", self.batch_size, 1, 64)
        _between("clip_norm", self.clip_norm, 1e-6, 1e6)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Chances are per patch, 0 to 1.

    Intensities are in network units: 1 is the whole width of the HU window.
    """

    affine_chance: float = 0.5
    """Chance of rotation and scaling together."""
    rotation_deg: float = 15.0
    """Largest rotation in the axial plane, degrees, to either side."""
    scale: float = 0.15
    """Largest relative change of size in the axial plane; along z a quarter of it."""
    slab_chance: float = 0.0
    """Chance that only a slab of the image is left, as in a short field of view, so that organs are learned
    without their surroundings."""
    slab_voxels: tuple[int, int] = (16, 48)
    """Least and largest thickness of such a slab along z."""
    flip_axes: tuple[Literal["z", "y", "x"], ...] = ()
    """Axes mirrored with chance 0.5 each. Along x the liver changes sides: not for networks that name
    organs."""
    shift: float = 0.05
    """Largest change of brightness."""
    contrast: float = 0.15
    """Largest relative change of contrast about the patch's mean."""
    gamma: float = 0.2
    """Largest relative change of the exponent in value ** gamma."""
    intensity_chance: float = 0.5
    """Chance of each of shift, contrast and gamma."""
    noise: float = 0.04
    """Largest standard deviation of Gaussian noise."""
    noise_chance: float = 0.3
    """Chance of noise."""
    blur_voxels: float = 1.0
    """Largest sigma of Gaussian blur."""
    blur_chance: float = 0.2
    """Chance of blur."""

    def __post_init__(self) -> None:
        for name in ("affine_chance", "slab_chance", "intensity_chance", "noise_chance", "blur_chance"):
            _between(name, getattr(self, name), 0, 1)
        if not 1 <= self.slab_voxels[0] <= self.slab_voxels[1]:
            raise ValueError(
                f"slab_voxels: must be two whole numbers from 1, the lower first, is {list(self.slab_voxels)}"
            )
        _between("rotation_deg", self.rotation_deg, 0, 180)
        for name in ("scale", "shift", "contrast", "gamma", "noise"):
            _between(name, getattr(self, name), 0, 0.9)
        _between("blur_voxels", self.blur_voxels, 0, 10)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How the run is watched."""

    every_steps: int = 500
    """Steps between validations; there is always one after the last step."""
    cases: int = 8
    """Held-out cases looked at each time, at most."""
    overlap: float = 0.25
    """Share of a window that neighbouring windows cover again."""

    def __post_init__(self) -> None:
        _between("every_steps", self.every_steps, 1, 10_000_000)
        _between("cases", self.cases, 1, 100_000)
        _between("overlap", self.overlap, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run does, apart from its data and its seed."""

    name: str
    """Short name, as on the command line."""
    description: str
    """One sentence on what it is for and where it comes from."""
    label_set: str
    """Label set that the truth follows, e.g. flare23."""
    channels: Literal["merged", "plain", "foreground"]
    """`merged`: one channel for each left/right pair; `plain`: one for each structure; `foreground`: one for
    all together."""
    spacing_zyx_mm: ZyxMm
    """Voxel size of the network's grid."""
    patch_zyx: Zyx
    """Size of a training patch, voxels, and of the window at inference."""
    network: NetworkSpec
    """The network; its `out_channels` must be the number of channels, background included."""
    optimizer: Optimizer
    """How the weights are changed."""
    hu_window: tuple[float, float] = (-250.0, 250.0)
    """HU that become 0 and 1; values beyond are clipped."""
    background_share: float | None = None
    """Share of patches centred on the background, 0 to 1; the others are centred on each structure equally
    often. None: the background counts as one structure among the others, and what lies far from all organs is
    hardly seen."""
    loss: Loss = field(default_factory=Loss)
    """What is minimised."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How patches are varied."""
    validation: Validation = field(default_factory=Validation)
    """How the run is watched."""
    checkpoint_every_steps: int = 100
    """Steps between checkpoints, from which an interrupted run resumes."""

    def __post_init__(self) -> None:
        if self.label_set not in LABEL_SETS:
            raise ValueError(f"label_set: must be one of {', '.join(LABEL_SETS)}, is {self.label_set!r}")
        for spacing in self.spacing_zyx_mm:
            _between("spacing_zyx_mm", spacing, 0.1, 20)
        if not self.hu_window[0] < self.hu_window[1]:
            raise ValueError(f"hu_window: lower must be below upper, is {list(self.hu_window)}")
        _between("checkpoint_every_steps", self.checkpoint_every_steps, 1, 10_000_000)
        if self.background_share is not None:
            _between("background_share", self.background_share, 0, 1)
        try:
            self.network.check_window(self.patch_zyx)
        except ValueError as error:
            raise ValueError(f"patch_zyx: {error}") from error
        wanted = len(self.channel_names)
        if self.network.out_channels != wanted:
            raise ValueError(
                f"network.out_channels: must be {wanted} for {self.channels} {self.label_set}, is "
                f"{self.network.out_channels}"
            )

    @property
    def labels(self) -> LabelSet:
        """The label set that the truth follows."""
        return LABEL_SETS[self.label_set]

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each output channel stands for, background first."""
        if self.channels == "foreground":
            return (BACKGROUND, FOREGROUND)
        return merged_channels(self.labels) if self.channels == "merged" else (BACKGROUND, *self.labels.names)

    @property
    def intensity(self) -> Intensity:
        """How HU become network input."""
        return Intensity(scheme="window", lower=self.hu_window[0], upper=self.hu_window[1])


def recipe_from(document: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """Build a recipe from a parsed document, with fields replaced as `optimizer.steps=100` says.

    Raises:
        RecipeError: naming the faulty field.
    """
    document = dict(document)
    for override in overrides:
        _override(document, override)
    try:
        return parse(Recipe, document)
    except SchemaError as error:
        raise RecipeError(str(error)) from error


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe: a file, or the name of one in `training/recipes`.

    Raises:
        RecipeError: no such recipe, not YAML, or a faulty field, which is named.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / f"{name_or_path}.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise RecipeError(f"recipe {name_or_path}: no such file, and not one of {known}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(
            f"recipe {path}: cannot be read as YAML ({' '.join(str(error).split())})"
        ) from error
    if not isinstance(document, dict):
        raise RecipeError(f"recipe {path}: must be a mapping of fields")
    try:
        return recipe_from(document, overrides)
    except RecipeError as error:
        raise RecipeError(f"recipe {path.name}: {error}") from error


def _override(document: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: must read field=value")
    *parents, last = dotted.split(".")
    for parent in parents:
        below = document.setdefault(parent, {})
        if not isinstance(below, dict):
            raise RecipeError(f"--set {override}: {parent} has no fields")
        # A copy, so that the caller's document stays as it was.
        document[parent] = dict(below)
        document = document[parent]
    # YAML 1.1 takes 1e-3 for text, and nobody writes 1.0e-3.
    try:
        document[last] = float(text) if "e" in text.lower() else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        document[last] = text
