"""Steps that draw synthetic cases, or lesions into cases."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from model.checks import check, check_between
from training.plans.step_parts import AnyStep, Places, What, option_words


@dataclass(frozen=True, kw_only=True)
class PhantomStep(AnyStep):
    """Draws synthetic CTs with truth. Gives the data set of them."""

    WANTS: ClassVar[Mapping[str, What]] = {"anatomy": "anatomy"}
    GIVES: ClassVar[Mapping[What, str]] = {"data": "."}

    kind: Literal["phantom"] = "phantom"
    cases: int
    """How many."""
    seed: int
    """Source of all randomness."""
    anatomy: str | None = None
    """A folder of label maps to deform and fill; missing: all anatomy is procedural."""
    anatomy_share: float = 0.5
    """Share of cases made from label maps, 0 to 1."""
    elsewhere_share: float = 0.0
    """Share of cases that show other parts of the body, without any organ, 0 to 1."""

    def __post_init__(self) -> None:
        check(self.cases >= 1, f"cases: must be 1 or more, is {self.cases}")
        check(self.seed >= 0, f"seed: must be 0 or more, is {self.seed}")
        check_between("anatomy_share", self.anatomy_share, 0, 1)
        check_between("elsewhere_share", self.elsewhere_share, 0, 1)

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        maps = []
        if self.anatomy is not None:
            maps = ["--anatomy", str(places.of(self.anatomy, "anatomy")[0])]
        return [
            *("phantom", "--cases", str(self.cases), "--seed", str(self.seed), "--output", str(output)),
            *maps,
            *("--anatomy-share", str(self.anatomy_share), "--elsewhere-share", str(self.elsewhere_share)),
            *option_words("--workers", places.machine.case_makers),
        ]


@dataclass(frozen=True, kw_only=True)
class LesionsStep(AnyStep):
    """Paints synthetic lesions into copies of labelled CTs. Gives the data set of the copies."""

    WANTS: ClassVar[Mapping[str, What]] = {"data": "data"}
    GIVES: ClassVar[Mapping[What, str]] = {"data": "."}

    kind: Literal["lesions"] = "lesions"
    data: str
    """Labelled CTs."""
    seed: int
    """Source of all randomness."""
    copies: int = 1
    """Copies of each case, each with other lesions."""

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"seed: must be 0 or more, is {self.seed}")
        check(self.copies >= 1, f"copies: must be 1 or more, is {self.copies}")

    def words(self, output: Path, places: Places) -> list[str]:
        """What follows `python -m training`."""
        data = str(places.of(self.data, "data")[0])
        return [
            *("lesions", data, "--seed", str(self.seed), "--copies", str(self.copies)),
            *("--output", str(output)),
            *option_words("--workers", places.machine.case_makers),
        ]
