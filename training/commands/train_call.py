"""A call of `train`, as its options say."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class TrainCall:
    """What `train` is asked for: an option in each field, whose help says what it is."""

    recipe: str
    data: Sequence[Path]
    output: Path
    resume: str | None = None
    init: Path | None = None
    validation: str = "0.1"
    hold_out: Path | None = None
    seed: int = 0
    steps: int | None = None
    overrides: Sequence[str] = ()
    device: str = "auto"
    precision: str | None = None
    threads: int | None = None
    workers: int = 1
    cache: Path | None = None
    cache_mb: float = 8192
    anatomy: Path | None = None
    case_makers: int = 1
    tensorboard: bool = False
    times: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Self:
        """The call that a command line makes."""
        return cls(**{field.name: getattr(arguments, field.name) for field in fields(cls)})
