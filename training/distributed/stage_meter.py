"""What a pipeline's stage takes in a step: how long it computes, how long the step lasts, how much memory."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from inference.runtime.process_memory import held_mb, peak_mb
from model.units import MIB

FAR_ABOVE = 1.5
"""How many times what was planned a step takes, at least, where that is explained."""
CLEAR = Path("/proc/self/clear_refs")
"""Where Linux is told to look for the most memory anew; 5 says so."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Of one process: medians over steps of times, and the most memory."""

    computed_s: float
    lasted_s: float
    """From the first micro-batch to the end of the last one's gradients."""
    step_mb: float


def beside_plan(step_mb: float, planned_mb: float) -> str:
    """What was planned for a step that takes `step_mb`, both MiB, and why that was far too little."""
    if step_mb <= FAR_ABOVE * planned_mb:
        return f"planned {planned_mb:.0f}"
    return f"planned {planned_mb:.0f}, without what threads and libraries take: most of a small network's"


class StageMeter:
    """Measures one process; on a GPU by events of its stream, so that nothing waits but the end of a step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moments: list[tuple[float, float]] = []
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._steps: list[tuple[float, float]] = []
        self._step_mb = 0.0

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around what the stage computes itself, within a step."""
        if self._device.type == "cuda":
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            before.record()
            yield
            after.record()
            self._events.append((before, after))
        else:
            started = time.perf_counter()
            yield
            self._moments.append((started, time.perf_counter()))

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step, from its first micro-batch to the end of the last one's gradients."""
        self._moments, self._events = [], []
        before_mb = self._start_mb()
        started = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        lasted_s = time.perf_counter() - started
        computed_s = sum(end - start for start, end in self._moments)
        computed_s += sum(start.elapsed_time(end) for start, end in self._events) / 1000
        self._steps.append((computed_s, lasted_s))
        self._step_mb = max(self._step_mb, self._peak_mb() - before_mb)

    def take(self) -> StepCost:
        """What the steps took since the last time, of which there must be one.

        Memory is what was held at most within a step, less what was held before it: by torch on a GPU, by the
        whole process on a CPU, threads that prepare batches included.
        """
        computed_s, lasted_s = (statistics.median(times) for times in zip(*self._steps, strict=True))
        found = StepCost(computed_s=computed_s, lasted_s=lasted_s, step_mb=self._step_mb)
        self._steps, self._step_mb = [], 0.0
        return found

    def _start_mb(self) -> float:
        """Begin to look for the most that is held; what is held now, MiB."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device) / MIB
        # Where the system cannot begin anew, the peak is that since the process began.
        with suppress(OSError):
            CLEAR.write_text("5", encoding="ascii")
        return held_mb()

    def _peak_mb(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        return peak_mb()
