"""Steps that train networks and make bundles of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from model.checks import check, check_between
from training.folds.fold_splits import BY_SEED
from training.plans.step_parts import AnyStep, Places, What, data_words, option_words, override_words


@dataclass(frozen=True, kw_only=True)
class TrainStep(AnyStep):
    """Trains a network.

    Gives a run, of which others take the best checkpoint, or the last where there is no validation.
    """

    WANTS: ClassVar[Mapping[str, What]] = {
        "data": "data",
        "validation": "data",
        "init": "run",
        "anatomy": "anatomy",
    }
    GIVES: ClassVar[Mapping[What, str]] = {"run": ".", "runs": "."}
    TRAINS_ONE: ClassVar[bool] = True

    kind: Literal["train"] = "train"
    recipe: str
    """Name of a recipe, or a YAML file beside the plan."""
    data: tuple[str, ...]
    """Data sets to train on."""
    validation: float | str = 0.1
    """Held-out share of the data, or another data set; 0: none."""
    seed: int = 0
    """Source of all randomness."""
    init: str | None = None
    """The run whose weights it starts from; missing: random ones."""
    anatomy: str | None = None
    """A folder of label maps to paint over, where the recipe's `synthesis` makes cases while it trains."""
    overrides: tuple[str, ...] = ()
    """Fields of the recipe to replace, e.g. `stopping.epochs=100`."""

    def __post_init__(self) -> None:
        check(bool(self.data), "data: must have at least one")
        check(self.seed >= 0, f"seed: must be 0 or more, is {self.seed}")
        if isinstance(self.validation, float):
            check_between("validation", self.validation, 0, 0.9)

    @property
    def validates(self) -> bool:
        """Whether cases are held out."""
        return self.validation != 0

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        held_out = self.validation
        if isinstance(held_out, str):
            held_out = str(places.of(held_out, "data")[0])
        init = places.of(self.init, "run")[0] if self.init else None
        anatomy = places.of(self.anatomy, "anatomy")[0] if self.anatomy else None
        return [
            *("train", places.recipe(self.recipe), *data_words(self.data, places)),
            *("--output", str(output), "--resume", "auto"),
            *("--validation", str(held_out), "--seed", str(self.seed)),
            *option_words("--init", init),
            *option_words("--anatomy", anatomy),
            *override_words(self.overrides),
            *places.machine.training_words,
        ]


@dataclass(frozen=True, kw_only=True)
class CrossValidateStep(AnyStep):
    """Trains a recipe once for each fold, judged by the cases that it did not see.

    Gives the bundle of all folds, and their runs.
    """

    WANTS: ClassVar[Mapping[str, What]] = {"data": "data", "localization": "run"}
    GIVES: ClassVar[Mapping[What, str]] = {"bundle": "bundle", "runs": "."}

    kind: Literal["cross_validate"] = "cross_validate"
    recipe: str
    """Name of a recipe, or a YAML file beside the plan."""
    data: tuple[str, ...]
    """Data sets whose cases are split into folds."""
    folds: int = 5
    """How many."""
    splits: Literal["stated", "seed"] = "stated"
    """`stated`: a split that the data state counts, and must be of as many folds and name every case. `seed`:
    the seed draws the split, whatever the data state."""
    seed: int = 0
    """Source of all randomness."""
    localization: str | None = None
    """The run of a network that finds the region of interest, for the bundle."""
    fp16: bool = True
    """Whether the bundle can compute in fp16 on GPUs, from a second file of each member."""
    overrides: tuple[str, ...] = ()
    """Fields of the recipe to replace."""

    def __post_init__(self) -> None:
        check(bool(self.data), "data: must have at least one")
        check(self.folds >= 2, f"folds: must be 2 or more, is {self.folds}")
        check(self.seed >= 0, f"seed: must be 0 or more, is {self.seed}")

    def runs_in(self, folder: Path) -> list[Path]:
        """A run for each fold."""
        return [folder / f"fold-{fold}" for fold in range(self.folds)]

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        machine = places.machine
        localization = places.of(self.localization, "run")[0] if self.localization else None
        gpus: list[str] = []
        if machine.gpus:
            gpus = ["--gpus", machine.gpu_list, "--gpus-per-fold", str(machine.gpus_per_run)]
        return [
            *("cross-validate", places.recipe(self.recipe), *data_words(self.data, places)),
            *("--output", str(output), "--folds", str(self.folds), "--seed", str(self.seed)),
            *(["--splits", BY_SEED] if self.splits == "seed" else []),
            *option_words("--localization", localization),
            *([] if self.fp16 else ["--no-fp16"]),
            *override_words(self.overrides),
            *machine.training_words,
            *gpus,
        ]


@dataclass(frozen=True, kw_only=True)
class ExportStep(AnyStep):
    """Makes a bundle from runs. Gives the bundle."""

    WANTS: ClassVar[Mapping[str, What]] = {"checkpoints": "runs", "localization": "run"}
    GIVES: ClassVar[Mapping[What, str]] = {"bundle": "."}

    kind: Literal["export"] = "export"
    checkpoints: tuple[str, ...]
    """Runs whose checkpoints are the members, in order."""
    localization: str | None = None
    """The run of a network that finds the region of interest."""
    name: str | None = None
    """Name of the bundle; missing: that of the step."""
    licence: str = "not stated"
    """Licence of the weights."""
    fp16: bool = True
    """Whether it can compute in fp16 on GPUs, from a second file of each member."""
    overrides: tuple[str, ...] = ()
    """Fields of `inference` to replace, e.g. `inference.tiling.overlap=0.25`."""

    def __post_init__(self) -> None:
        check(bool(self.checkpoints), "checkpoints: must have at least one")

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        members = [str(path) for text in self.checkpoints for path in places.of(text, "runs")]
        localization = places.of(self.localization, "run")[0] if self.localization else None
        return [
            *("export", *members, "--output", str(output), "--overwrite"),
            *option_words("--localization", localization),
            *option_words("--name", self.name),
            *("--licence", self.licence),
            *([] if self.fp16 else ["--no-fp16"]),
            *override_words(self.overrides),
        ]


@dataclass(frozen=True, kw_only=True)
class EnsembleStep(AnyStep):
    """Joins bundles, of different recipes, to one. Gives the bundle."""

    WANTS: ClassVar[Mapping[str, What]] = {"bundles": "bundle"}
    GIVES: ClassVar[Mapping[What, str]] = {"bundle": "."}

    kind: Literal["ensemble"] = "ensemble"
    bundles: tuple[str, ...]
    """Two or more."""
    fuse: Literal["cleaned", "members"] = "cleaned"
    """Whether each bundle is cleaned up before all are averaged, or the average of all members."""
    name: str | None = None
    """Name of the bundle; missing: that of the step."""

    def __post_init__(self) -> None:
        check(len(self.bundles) >= 2, f"bundles: must be two or more, is {len(self.bundles)}")

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        bundles = [str(places.of(text, "bundle")[0]) for text in self.bundles]
        return [
            *("ensemble", *bundles, "--output", str(output), "--overwrite", "--fuse", self.fuse),
            *option_words("--name", self.name),
        ]
