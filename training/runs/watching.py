"""What a run tells those who watch it, and the one who is told everything."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from model.arrays import F32, U8


class PartTime(NamedTuple):
    """How long a part of a step took."""

    wall_s: float
    cpu_s: float
    """Seconds that a processor worked for the thread that trains."""


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One step of a run."""

    step: int
    """Steps done."""
    steps: int
    """Steps of the whole run, as far as known: fewer once it has converged."""
    loss: float
    """Loss before the weights changed."""
    learning_rate: float
    patches: int
    """Patches of the step, over all processes."""
    waited_s: float
    """How long the device had nothing to do because the batch was not ready, s."""
    gpu_peak_mb: float | None = None
    """Most that the network and its training have held of this process's GPU so far, MiB; None on a CPU."""
    parts: Mapping[str, PartTime] = field(default_factory=dict)
    """Times of the step's other parts (`training.runs.step_times`), where they are measured."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The middle of a held-out case: what the network sees, what it should say and what it says."""

    name: str
    image: F32
    """Network input, (y, x)."""
    truth: U8
    """Channel of each pixel, (y, x)."""
    prediction: U8
    """The same, by the network."""


@dataclass(frozen=True, kw_only=True)
class Validated:
    """One validation of a run."""

    step: int
    """Steps done."""
    dice: Mapping[str, float]
    """Mean Dice of each channel, 0 to 1."""
    mean_dice: float
    is_best: bool
    seen: Seen | None = None
    """The first case, where this process looked at it."""


class Watcher:
    """Somebody who is told what a run does; nobody needs to listen to everything."""

    def step(self, done: StepDone) -> None:
        """Take note of a step."""

    def validating(self, done: int, cases: int) -> None:
        """Take note that this process has measured so many of its held-out cases: 0 as it begins."""

    def validation(self, found: Validated) -> None:
        """Take note of a validation."""

    def close(self) -> None:
        """The run ended, well or not."""


class Watchers(Watcher):
    """Passes everything on to several; closes all of them, whatever happens."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def step(self, done: StepDone) -> None:
        """Take note of a step."""
        for watcher in self._watchers:
            watcher.step(done)

    def validating(self, done: int, cases: int) -> None:
        """Take note of a validation that goes on."""
        for watcher in self._watchers:
            watcher.validating(done, cases)

    def validation(self, found: Validated) -> None:
        """Take note of a validation."""
        for watcher in self._watchers:
            watcher.validation(found)

    def close(self) -> None:
        """The run ended, well or not."""
        with ExitStack() as stack:
            for watcher in self._watchers:
                stack.callback(watcher.close)
