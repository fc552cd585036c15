"""Steps that make labels: what nobody labelled, a bundle labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from model.checks import check
from training.plans.step_parts import AnyStep, Places, What, option_words
from training.pseudo_labels.stability import MOST_UNSTABLE


@dataclass(frozen=True, kw_only=True)
class PseudoLabelMissingStep(AnyStep):
    """Fills in the organs that cases do not annotate. Gives the data set with them."""

    WANTS: ClassVar[Mapping[str, What]] = {"data": "data", "bundle": "bundle"}
    GIVES: ClassVar[Mapping[What, str]] = {"data": "."}

    kind: Literal["pseudo_label_missing"] = "pseudo_label_missing"
    data: str
    """A data set with `annotated.json`."""
    bundle: str
    """What fills them in."""
    label_set: str | None = None
    """A label set by name or file; missing: the one that the data states."""

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        return [
            *("pseudo-label", "missing", str(places.of(self.data, "data")[0])),
            *("--bundle", str(places.of(self.bundle, "bundle")[0]), "--output", str(output)),
            *option_words("--label-set", self.label_set),
            *places.machine.labelling_words,
        ]


@dataclass(frozen=True, kw_only=True)
class PseudoLabelUnlabelledStep(AnyStep):
    """Labels cases that have no labels: one round. Gives the data set with them."""

    WANTS: ClassVar[Mapping[str, What]] = {"images": "images", "bundle": "bundle"}
    GIVES: ClassVar[Mapping[What, str]] = {"data": "."}

    kind: Literal["pseudo_label_unlabelled"] = "pseudo_label_unlabelled"
    images: str
    """A folder of images."""
    bundle: str
    """What labels them."""

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        return [
            *("pseudo-label", "unlabelled", str(places.of(self.images, "images")[0])),
            *("--bundle", str(places.of(self.bundle, "bundle")[0]), "--output", str(output)),
            *places.machine.labelling_words,
        ]


@dataclass(frozen=True, kw_only=True)
class PseudoLabelRoundsStep(AnyStep):
    """Keeps the cases whose labels stay the same from round to round. Gives the data set of them."""

    WANTS: ClassVar[Mapping[str, What]] = {"rounds": "data"}
    GIVES: ClassVar[Mapping[What, str]] = {"data": "."}

    kind: Literal["pseudo_label_rounds"] = "pseudo_label_rounds"
    rounds: tuple[str, ...]
    """Two or more rounds, in order."""
    most_unstable: float = MOST_UNSTABLE
    """The highest u of a case that is kept."""

    def __post_init__(self) -> None:
        check(len(self.rounds) >= 2, f"rounds: must be two or more, is {len(self.rounds)}")
        check(self.most_unstable >= 0, f"most_unstable: must be 0 or more, is {self.most_unstable:g}")

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        rounds = [str(places.of(text, "data")[0]) for text in self.rounds]
        return [
            *("pseudo-label", "rounds", *rounds, "--output", str(output)),
            *("--most-unstable", f"{self.most_unstable:g}"),
            *option_words("--workers", places.machine.workers),
        ]
