"""What one check of the ladder came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One check of the ladder, of one bundle or of the machine."""

    check: str
    """What was checked, e.g. `labels, fp16`; rungs of one name share a table of figures."""
    of: str
    """What it was checked on: a bundle's name, a network's file, a container's image."""
    ending: Ending
    said: str = ""
    """In a line: what failed, or why it was skipped; of what passed, what is worth a word."""
    figures: Mapping[str, str] = field(default_factory=dict)
    """What was measured, by name and unit, as it is shown."""


def skipped(check: str, of: str, why: str) -> Rung:
    """A check that could not be made."""
    return Rung(check=check, of=of, ending=Ending.SKIPPED, said=why)


def failed(check: str, of: str, why: str, figures: Mapping[str, str] | None = None) -> Rung:
    """A check that was made, and something is wrong."""
    return Rung(check=check, of=of, ending=Ending.FAILED, said=why, figures=figures or {})


def judged(check: str, of: str, faults: Sequence[str], figures: Mapping[str, str]) -> Rung:
    """A check that was made: it failed if there are faults."""
    ending = Ending.FAILED if faults else Ending.PASSED
    return Rung(check=check, of=of, ending=ending, said="; ".join(faults), figures=figures)
