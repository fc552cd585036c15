"""How long each part of each step takes: `train --times` writes it to `times.json` in the run's folder."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from training.runs.watching import PartTime, StepDone, Watcher
from training.whole_files import write_text

TIMES = "times.json"
WAIT, AUGMENT, FORWARD, LOSS, BACKWARD, UPDATE = "wait", "augment", "forward", "loss", "backward", "update"
"""Parts of a step: for the next batch; its augmentation where the training device does it; the network's
logits; loss; gradients; clipping, optimizer and averages."""
CLOCKS = (time.perf_counter, time.process_time, time.thread_time)


class PhaseClock:
    """How long the parts of a step take; this one does not measure."""

    def start(self) -> None:
        """Begin a step."""

    def mark(self, part: str) -> None:
        """End a part of the step; it took the time since the last mark, or since the step began."""

    @property
    def taken(self) -> Mapping[str, PartTime]:
        """Part to its time, since the step began."""
        return {}


SILENT = PhaseClock()


class RunningClock(PhaseClock):
    """A clock that runs.

    Args:
        device: where the step is computed; a GPU is waited for at each mark, which costs a little time.
        clock: seconds that never go back.
        cpu_clock: likewise, seconds that a processor worked for the calling thread.
    """

    def __init__(
        self,
        device: torch.device,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._device, self._clock, self._cpu_clock = device, clock, cpu_clock
        self._taken: dict[str, PartTime] = {}
        self._last = PartTime(0.0, 0.0)

    def start(self) -> None:
        """Begin a step."""
        self._taken, self._last = {}, self._now()

    def mark(self, part: str) -> None:
        """End a part of the step; parts of the same name are added up."""
        now, before = self._now(), self._taken.get(part, PartTime(0.0, 0.0))
        self._taken[part] = PartTime(
            before.wall_s + now.wall_s - self._last.wall_s, before.cpu_s + now.cpu_s - self._last.cpu_s
        )
        self._last = now

    @property
    def taken(self) -> Mapping[str, PartTime]:
        """Part to its time, since the step began."""
        return dict(self._taken)

    def _now(self) -> PartTime:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return PartTime(self._clock(), self._cpu_clock())


class StepTimes(Watcher):
    """Keeps the times of all steps, and writes them when the run ends.

    The file holds the precision, the patches of a step, and for each step what passed since the one before:
    `wall_s`, `cpu_s` of all threads together, `thread_s` of the one that trains; and of each part of the step
    `wall_s` and `cpu_s` of that thread. The first step, which has none before it, is left out.

    Args:
        path: file to write.
        precision: fp32, bf16 or fp16: how the steps are computed.
        clocks: seconds that never go back: on the clock, of all threads, of this one.
    """

    def __init__(self, path: Path, precision: str, clocks: Sequence[Callable[[], float]] = CLOCKS) -> None:
        self._path, self._clocks = path, clocks
        self._precision, self._patches = precision, 0
        self._last: list[float] = []
        self._steps: list[dict[str, object]] = []

    def step(self, done: StepDone) -> None:
        """Note a step."""
        now = [clock() for clock in self._clocks]
        if self._last:
            wall_s, cpu_s, thread_s = (b - a for a, b in zip(self._last, now, strict=True))
            parts = {WAIT: PartTime(done.waited_s, 0.0), **done.parts}
            self._steps.append(
                {
                    "wall_s": wall_s,
                    "cpu_s": cpu_s,
                    "thread_s": thread_s,
                    "parts": {name: part._asdict() for name, part in parts.items()},
                }
            )
        self._last, self._patches = now, done.patches

    def close(self) -> None:
        """Write the file."""
        document = {"precision": self._precision, "patches": self._patches, "steps": self._steps}
        write_text(self._path, json.dumps(document) + "\n")
