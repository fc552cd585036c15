"""How long each part of each step takes: `train --times` writes it to `times.json` in the run's folder."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from training.runs.watching import StepDone, Watcher

TIMES = "times.json"
WAIT, AUGMENT, FORWARD, LOSS, BACKWARD, UPDATE = "wait", "augment", "forward", "loss", "backward", "update"
"""Parts of a step: for the next batch; its augmentation where the training device does it; the network's
logits; loss; gradients; clipping, optimizer and averages."""


class PhaseClock:
    """Seconds of the parts of a step; this one does not measure."""

    def start(self) -> None:
        """Begin a step."""

    def mark(self, part: str) -> None:
        """End a part of the step; it took the time since the last mark, or since the step began."""

    def seconds(self) -> dict[str, float]:
        """Part to its seconds, since the step began."""
        return {}


SILENT = PhaseClock()


class RunningClock(PhaseClock):
    """A clock that runs.

    Args:
        device: where the step is computed; a GPU is waited for at each mark, which costs a little time.
        clock: seconds that never go back.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._device, self._clock = device, clock
        self._seconds: dict[str, float] = {}
        self._last_s = 0.0

    def start(self) -> None:
        """Begin a step."""
        self._seconds, self._last_s = {}, self._now_s()

    def mark(self, part: str) -> None:
        """End a part of the step; parts of the same name are added up."""
        now_s = self._now_s()
        self._seconds[part] = self._seconds.get(part, 0.0) + now_s - self._last_s
        self._last_s = now_s

    def seconds(self) -> dict[str, float]:
        """Part to its seconds, since the step began."""
        return dict(self._seconds)

    def _now_s(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._clock()


class StepTimes(Watcher):
    """Keeps the times of all steps, and writes them when the run ends.

    The file holds the precision, patches of a step, and of each step `wall_s` and `cpu_s` since the one
    before (all threads together) and the seconds of its parts. The first step, which has none before it, is
    left out.

    Args:
        path: file to write.
        precision: fp32, bf16 or fp16: how the steps are computed.
        clock: seconds that never go back.
        cpu_clock: likewise, seconds that processors worked for the run.
    """

    def __init__(
        self,
        path: Path,
        precision: str,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._path, self._clock, self._cpu_clock = path, clock, cpu_clock
        self._precision, self._patches = precision, 0
        self._last: tuple[float, float] | None = None
        self._steps: list[dict[str, object]] = []

    def step(self, done: StepDone) -> None:
        """Note a step."""
        now_s, worked_s = self._clock(), self._cpu_clock()
        if self._last is not None:
            since_s, worked_before_s = self._last
            self._steps.append(
                {
                    "wall_s": now_s - since_s,
                    "cpu_s": worked_s - worked_before_s,
                    "seconds": {WAIT: done.waited_s, **done.seconds},
                }
            )
        self._last, self._patches = (now_s, worked_s), done.patches

    def close(self) -> None:
        """Write the file."""
        document = {"precision": self._precision, "patches": self._patches, "steps": self._steps}
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(json.dumps(document) + "\n", encoding="utf-8")
        partial.replace(self._path)
