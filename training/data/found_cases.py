"""Where the files of labelled cases lie, as a data set's form is read, and how what is amiss is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.training_errors import DataError

SHOWN_FAULTS = 3
"""Faults that a single line names; `check` lists all."""


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where one case lies."""

    name: str
    images: tuple[Path, ...]
    """A file for each input channel."""
    labels: Path
    annotated: tuple[str, ...] | None = None
    """Structures that the case annotates; None: all of its label set."""
    given: tuple[str, ...] | None = None
    """Those of them that people annotated, where the others are pseudo-labels; None: all of them."""
    prepared: Path | None = None
    """The store that holds the case on a network's grid; None: there is none."""
    fold: int | None = None
    """The fold that holds it out, as the datalist says; None: it says nothing."""

    @property
    def judged(self) -> "CaseFiles":
        """The case as networks are judged on it: by what people annotated, not by pseudo-labels."""
        return self if self.given is None else replace(self, annotated=self.given, given=None)

    @property
    def is_judged(self) -> bool:
        """Whether people annotated anything, so that networks can be judged on the case."""
        return self.judged.annotated != ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a data-set folder holds, by the names of its files alone."""

    cases: tuple[CaseFiles, ...]
    """Complete cases, in the order of their names."""
    faults: tuple[str, ...]
    """What is amiss, a line each."""


def refuse(faults: Sequence[str], folder: Path, option: str | None = "") -> None:
    """Nothing if there are no faults.

    Args:
        faults: a line each.
        folder: the data set that has them.
        option: what makes `check` find the same, e.g. `--label-set flare22`; None: nothing does.

    Raises:
        DataError: naming the first faults, and how to see the others.
    """
    if faults:
        more = len(faults) - SHOWN_FAULTS
        told = f"; and {more} more" if more > 0 else ""
        if told and option is not None:
            told += f": `python -m training check {folder}{option and f' {option}'}` lists all"
        raise DataError("; ".join(faults[:SHOWN_FAULTS]) + told)
