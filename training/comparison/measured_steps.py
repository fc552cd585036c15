"""How long the steps of a run take, part by part, and what memory they need."""

import resource
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from model.units import MIB
from training.data.fresh_cases import FreshCases
from training.data.store import CaseStore
from training.recipes.stopping_options import FixedSteps
from training.runs.batch_source import source_of
from training.runs.loop import timed
from training.runs.run import Run
from training.runs.step import training_step
from training.runs.step_times import AUGMENT, BACKWARD, FORWARD, LOSS, UPDATE, WAIT, RunningClock

PARTS = (WAIT, AUGMENT, FORWARD, LOSS, BACKWARD, UPDATE)
"""The parts of a step, in order."""


@dataclass(frozen=True, kw_only=True)
class MeasuredSteps:
    """What the measured steps of a run took."""

    steps: int
    """How many were measured."""
    patches: int
    """Patches of a step."""
    seconds: Mapping[str, float]
    """Mean seconds of a step for each of `PARTS`."""
    cpu_s: float
    """Mean seconds that processors worked on a step, data and all threads together."""
    host_peak_mb: float
    """Largest resident memory of this process since it started, cases in memory included, MiB."""
    gpu_peak_mb: float | None
    """Most that tensors held on the GPU at a time, MiB; None on a CPU."""

    @property
    def step_s(self) -> float:
        """Mean seconds of a step."""
        return sum(self.seconds.values())

    @property
    def patches_per_s(self) -> float:
        """Patches that are trained on in a second."""
        return self.patches / self.step_s


def time_steps(
    run: Run, store: CaseStore, steps: int, warm_up: int, workers: int, fresh: FreshCases | None = None
) -> MeasuredSteps:
    """Train for some steps as in a run's first stage, and measure it; nothing is written.

    Args:
        run: before its first step.
        store: training cases.
        steps: how many are measured.
        warm_up: steps before them: the first ones read cases, choose kernels and fill caches.
        workers: threads that prepare patches.
        fresh: cases that are made meanwhile, if the recipe asks for any.

    Raises:
        DataError: a case cannot be read.
        TrainingError: the loss is no longer a number.
    """
    on_gpu = run.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(run.device)
    run.phases = RunningClock(run.device)
    measured = []
    worked_s = time.process_time()
    stage = run.timetable.stages[0]
    stage = replace(stage, recipe=replace(stage.recipe, stopping=FixedSteps(steps=warm_up + steps)))
    with closing(source_of(run, stage, store, workers, fresh)) as source:
        for (step, batch), waited_s in timed(source, time.perf_counter):
            training_step(run, step, batch)
            if step >= warm_up:
                parts = {part: taken.wall_s for part, taken in run.phases.taken.items()}
                measured.append({WAIT: waited_s, **parts})
            elif step == warm_up - 1:
                worked_s = time.process_time()
    return MeasuredSteps(
        steps=steps,
        patches=stage.batch_size,
        seconds={part: fmean(seconds[part] for seconds in measured) for part in PARTS},
        cpu_s=(time.process_time() - worked_s) / steps,
        host_peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        gpu_peak_mb=torch.cuda.max_memory_allocated(run.device) / MIB if on_gpu else None,
    )


def table(found: Mapping[str, object], times: MeasuredSteps) -> str:
    """One row in markdown, with its header.

    Args:
        found: what stands before the figures, by the name of its column.
        times: what was measured.
    """
    memory = {"peak host MiB": f"{times.host_peak_mb:.0f}"}
    if times.gpu_peak_mb is not None:
        memory["peak GPU MiB"] = f"{times.gpu_peak_mb:.0f}"
    columns = {
        **found,
        "s a step": f"{times.step_s:.3f}",
        "patches/s": f"{times.patches_per_s:.3g}",
        "CPU s": f"{times.cpu_s:.3f}",
        **{f"{part} s": f"{seconds:.3f}" for part, seconds in times.seconds.items()},
        **memory,
    }
    rows = (columns.keys(), ["---"] * len(columns), [str(value) for value in columns.values()])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
