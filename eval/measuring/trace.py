"""Traces: samples of what a run used over time, and the figures that follow from them.

A trace is a table. Times are seconds since the command started; the baseline before the start has negative
times. A value that could not be read is NaN; a quantity that was never read is NaN throughout (`Trace.has`).
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.eval_errors import JudgingError
from eval.files import read_csv, write_csv
from model.arrays import F64

TIME = "Time_s"
GPU = "GPU_MB"
OWN_GPU = "OwnGPU_MB"
GPU_USE = "GPU_percent"
CPU = "CPU_percent"
"""Of all processors, with the organisers' 0.1 s that nobody worked: two idle ones for 0.1 s give 33.3."""
EXACT_CPU = "CPU_Exact_percent"
"""The same without those: two idle processors give 0."""
RAM = "RAM_MB"
OWN_CPU = "OwnCPU_percent"
OWN_RAM = "OwnRAM_MB"
QUANTITIES = (GPU, OWN_GPU, GPU_USE, CPU, RAM, OWN_CPU, OWN_RAM, EXACT_CPU)
"""Columns of a trace after `Time_s`; `eval.measuring.efficiency_table` explains them."""
OWN = frozenset((OWN_GPU, OWN_CPU, OWN_RAM))
"""Quantities of the program alone, which are 0 until it is there."""
OLDER_QUANTITIES = QUANTITIES[:-1]
"""What older traces have: the exact CPU was not taken."""
RATES = frozenset((CPU, EXACT_CPU, OWN_CPU))
"""Quantities that are means since the sample before."""
OWN_CPU_S, KERNEL_PEAK_MB, OOM_KILLS = "OwnCPU_s", "OwnRAM_KernelPeak_MB", "OOM_kills"
"""What the kernel counts for the program from its start on: processor seconds, highest memory (with file
cache), processes killed for memory."""
COUNTER, REMARK = "#", "!"
"""First letters of a sampler's lines that are no samples: `#name,value`, of which the last one counts, and
`!text`."""
STABLE_SHARE = 0.02
"""Share of the samples that must have the same value for the organisers of FLARE22 to take it for a peak."""
INTERVAL_S = 0.1
"""Seconds that the organisers' programs sleep after each sample, and for which they count it."""
STOPPED_S = 5.0
"""If there are no samples in this many last seconds of a run, the sampler has stopped."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Samples of a run, in the order of time."""

    times_s: F64
    """Seconds since the command started; shape (samples,)."""
    values: Mapping[str, F64]
    """Quantity to one number for each time; NaN where a value was lost."""
    duration_s: float
    """Seconds that the command ran."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """What the kernel counted for the program itself, as far as it did."""
    remarks: tuple[str, ...] = ()
    """Why a quantity is missing, each in one line."""

    def has(self, quantity: str) -> bool:
        """Whether the quantity was read at least once while the command ran."""
        return bool(self._known(quantity)[0].size)

    def _known(self, quantity: str) -> tuple[F64, F64]:
        """Times and values of a quantity during the run, without those that were lost."""
        values = self.values.get(quantity, np.full_like(self.times_s, math.nan))
        kept = (self.times_s >= 0) & (self.times_s <= self.duration_s) & ~np.isnan(values)
        return self.times_s[kept], values[kept]

    def baseline(self, quantity: str) -> float:
        """Median of the samples before the command started; NaN if there are none."""
        values = self.values.get(quantity, np.full_like(self.times_s, math.nan))
        before = values[(self.times_s < 0) & ~np.isnan(values)]
        return float(np.median(before)) if before.size else math.nan

    def peak(self, quantity: str) -> float:
        """Largest value while the command ran; NaN if there are none."""
        values = self._known(quantity)[1]
        return float(values.max()) if values.size else math.nan

    def stable_peak(self, quantity: str) -> float:
        """Largest value that more than 2 % of the samples have, as FLARE22 counted; NaN if there are none.

        Where no value is that frequent, which the organisers' program does not survive, the largest one.
        """
        values, counts = np.unique(self._known(quantity)[1], return_counts=True)
        stable = values[counts > STABLE_SHARE * counts.sum()]
        return float(stable.max()) if stable.size else self.peak(quantity)

    def organisers_sum(self, quantity: str) -> float:
        """The organisers' figure, sum of the samples × 0.1 s, however far apart they are; NaN without any."""
        values = self._known(quantity)[1]
        return float(values.sum()) * INTERVAL_S if values.size else math.nan

    def integral(self, quantity: str, tolerance: float = 0.0) -> float:
        """Area of the part of the curve above a tolerance, in units of the quantity × seconds.

        Samples are joined by straight lines, also across lost ones, and a mean since the sample before counts
        for the time since then. The curve is constant after the last sample of the run, and before the first
        one, unless it is the program's own: that is 0 until the sample before the first that saw the program.
        Example: 0 MB at 0 s and 100 MB at 2 s, in a run of 3 s, give 100 + 100 = 200 MB·s.
        """
        times, values = self._known(quantity)
        if not times.size:
            return math.nan
        before = self.times_s[(self.times_s >= 0) & (self.times_s < times[0])]
        start_s = float(before[-1]) if quantity in OWN and before.size else 0.0
        if quantity in RATES:
            steps = np.diff(np.concatenate(([start_s], times)))
            excess = np.maximum(values - tolerance, 0.0)
            return float((excess * steps).sum() + excess[-1] * (self.duration_s - times[-1]))
        first = 0.0 if quantity in OWN and before.size else values[0]
        times = np.concatenate(([start_s], times, [self.duration_s]))
        values = np.concatenate(([first], values, values[-1:])) - tolerance
        if tolerance > 0:
            times, values = _with_crossings(times, values)
        return float(np.trapezoid(np.maximum(values, 0.0), times))

    @property
    def samples(self) -> int:
        """Number of samples while the command ran, with or without lost values."""
        return int(np.count_nonzero((self.times_s >= 0) & (self.times_s <= self.duration_s)))

    @property
    def longest_gap_s(self) -> float:
        """Longest time in seconds without a sample, from the start to the end of the run."""
        during = self.times_s[(self.times_s >= 0) & (self.times_s <= self.duration_s)]
        return float(np.diff(np.concatenate(([0.0], during, [self.duration_s]))).max())

    @property
    def stopped_after_s(self) -> float | None:
        """Second at which sampling ended while the command still ran; None if it did not."""
        last = float(self.times_s[-1]) if self.times_s.size else 0.0
        return max(last, 0.0) if self.duration_s - last >= STOPPED_S else None

    def lost(self, quantity: str) -> int:
        """Number of samples of the run without this quantity; 0 if it was never read."""
        return self.samples - self._known(quantity)[0].size if self.has(quantity) else 0


def _with_crossings(times: F64, values: F64) -> tuple[F64, F64]:
    """Insert the points in which the straight lines between samples cross zero."""
    crossing = np.flatnonzero(values[:-1] * values[1:] < 0)
    share = values[crossing] / (values[crossing] - values[crossing + 1])
    zeros_at = times[crossing] + share * (times[crossing + 1] - times[crossing])
    return np.insert(times, crossing + 1, zeros_at), np.insert(values, crossing + 1, 0.0)


def parse_samples(text: str, start_s: float, end_s: float) -> Trace:
    """The trace of a run from the text that its sampler wrote, whose last line may be incomplete.

    Args:
        text: rows of time and `QUANTITIES`, without a header; a cell that is no number is a lost value. Among
            them are lines of counters and remarks.
        start_s: time at which the command started, by the clock of the samples.
        end_s: time at which it ended.
    """
    rows = [
        [_number(cell) for cell in row]
        for row in csv.reader(text.splitlines())
        if len(row) == 1 + len(QUANTITIES)
    ]
    table = np.array([row for row in rows if not math.isnan(row[0])], np.float64).reshape(
        -1, 1 + len(QUANTITIES)
    )
    values = {name: table[:, column] for column, name in enumerate(QUANTITIES, 1)}
    lines = text.splitlines()
    counters = dict(line[1:].split(",", 1) for line in lines if line.startswith(COUNTER) and "," in line)
    return Trace(
        times_s=table[:, 0] - start_s,
        values=values,
        duration_s=end_s - start_s,
        counters={name: _number(value) for name, value in counters.items()},
        remarks=tuple(dict.fromkeys(line[1:] for line in lines if line.startswith(REMARK))),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace as CSV; a last row without values marks the end of the command."""
    rows = [
        {TIME: f"{time:.3f}"}
        | {name: "" if math.isnan(column[i]) else f"{column[i]:.1f}" for name, column in trace.values.items()}
        for i, time in enumerate(trace.times_s)
        if time < trace.duration_s
    ]
    write_csv(path, [TIME, *QUANTITIES], [*rows, {TIME: f"{trace.duration_s:.3f}"}])


def read_trace(path: Path) -> Trace:
    """Read a trace that `write_trace` wrote, in this version or an older one.

    Raises:
        JudgingError: it is no trace.
    """
    columns, rows = read_csv(path)
    times_s = np.array([_number(row.get(TIME, "")) for row in rows])
    known = columns in ([TIME, *QUANTITIES], [TIME, *OLDER_QUANTITIES])
    if not known or not rows or np.isnan(times_s).any():
        raise JudgingError(f"{path}: is no trace; its columns must be {', '.join((TIME, *QUANTITIES))}")
    values = {name: np.array([_number(row.get(name, "")) for row in rows[:-1]]) for name in QUANTITIES}
    return Trace(times_s=times_s[:-1], values=values, duration_s=float(times_s[-1]))
