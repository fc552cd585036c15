"""What a run used over time: samples with time stamps, and the figures that follow from them.

A trace is a table. Times are seconds since the command started, those before it are negative (the baseline).
A value that could not be taken is NaN; a quantity that was never taken has no column worth reading
(`Trace.has`).
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
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
RAM = "RAM_MB"
OWN_CPU = "OwnCPU_percent"
OWN_RAM = "OwnRAM_MB"
QUANTITIES = (GPU, OWN_GPU, GPU_USE, CPU, RAM, OWN_CPU, OWN_RAM)
"""Columns of a trace after `Time_s`; `eval.measuring.efficiency_table` says what they mean."""
INTERVAL_S = 0.1
"""The organisers take a sample, then sleep so long; and count each sample as so long."""
STOPPED_S = 5.0
"""A sampler that took nothing in the last seconds of a run, so many or more, has stopped."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Samples of a run, in the order of time."""

    times_s: F64
    values: Mapping[str, F64]
    """Quantity to one number per time, NaN where a sample was lost."""
    duration_s: float
    """How long the command ran."""

    def has(self, quantity: str) -> bool:
        """Whether the quantity was taken at least once while the command ran."""
        return bool(self._known(quantity)[0].size)

    def _known(self, quantity: str) -> tuple[F64, F64]:
        """Times and values of the samples during the run that were not lost."""
        values = self.values.get(quantity, np.full_like(self.times_s, math.nan))
        kept = (self.times_s >= 0) & (self.times_s <= self.duration_s) & ~np.isnan(values)
        return self.times_s[kept], values[kept]

    def baseline(self, quantity: str) -> float:
        """Median of the samples before the command started; NaN without any."""
        values = self.values.get(quantity, np.full_like(self.times_s, math.nan))
        before = values[(self.times_s < 0) & ~np.isnan(values)]
        return float(np.median(before)) if before.size else math.nan

    def peak(self, quantity: str) -> float:
        """Largest value while the command ran; NaN without any."""
        values = self._known(quantity)[1]
        return float(values.max()) if values.size else math.nan

    def organisers_sum(self, quantity: str) -> float:
        """The organisers' number: the sum of the samples times 0.1 s, however far apart the samples are.

        NaN without any.
        """
        values = self._known(quantity)[1]
        return float(values.sum()) * INTERVAL_S if values.size else math.nan

    def integral(self, quantity: str, tolerance: float = 0.0) -> float:
        """Area in quantity × seconds between the curve and a tolerance, where the curve is above it.

        Samples are joined by straight lines, over lost samples too; before the first and after the last
        sample of the run their values hold. Example: 0 MB at 0 s and 100 MB at 2 s, in a run of 3 s: 100 +
        100 = 200 MB·s.
        """
        times, values = self._known(quantity)
        if not times.size:
            return math.nan
        times = np.concatenate(([0.0], times, [self.duration_s]))
        values = np.concatenate((values[:1], values, values[-1:])) - tolerance
        if tolerance > 0:
            times, values = _with_crossings(times, values)
        return float(np.trapezoid(np.maximum(values, 0.0), times))

    @property
    def samples(self) -> int:
        """Samples taken while the command ran, lost values or not."""
        return int(np.count_nonzero((self.times_s >= 0) & (self.times_s <= self.duration_s)))

    @property
    def longest_gap_s(self) -> float:
        """Longest time without a sample within the run, its start and end included."""
        during = self.times_s[(self.times_s >= 0) & (self.times_s <= self.duration_s)]
        return float(np.diff(np.concatenate(([0.0], during, [self.duration_s]))).max())

    @property
    def stopped_after_s(self) -> float | None:
        """When sampling ended though the command ran on; None if it did not."""
        last = float(self.times_s[-1]) if self.times_s.size else 0.0
        return max(last, 0.0) if self.duration_s - last >= STOPPED_S else None

    def lost(self, quantity: str) -> int:
        """Samples of the run in which this quantity, taken at other times, is missing."""
        return self.samples - self._known(quantity)[0].size if self.has(quantity) else 0


def _with_crossings(times: F64, values: F64) -> tuple[F64, F64]:
    """Insert the points at which straight lines between samples cross zero."""
    crossing = np.flatnonzero(values[:-1] * values[1:] < 0)
    share = values[crossing] / (values[crossing] - values[crossing + 1])
    zeros_at = times[crossing] + share * (times[crossing + 1] - times[crossing])
    return np.insert(times, crossing + 1, zeros_at), np.insert(values, crossing + 1, 0.0)


def parse_samples(text: str, start_s: float, end_s: float) -> Trace:
    """The trace of a run from what its sampler wrote, cut-off last line or not.

    Args:
        text: rows of time and `QUANTITIES`, without a header; what cannot be read as a number is a lost
            value.
        start_s: when the command started, by the clock of the samples.
        end_s: when it ended.
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
    return Trace(times_s=table[:, 0] - start_s, values=values, duration_s=end_s - start_s)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace as CSV; a last row without values tells when the command ended."""
    rows = [
        {TIME: f"{time:.3f}"}
        | {name: "" if math.isnan(column[i]) else f"{column[i]:.1f}" for name, column in trace.values.items()}
        for i, time in enumerate(trace.times_s)
        if time < trace.duration_s
    ]
    write_csv(path, [TIME, *QUANTITIES], [*rows, {TIME: f"{trace.duration_s:.3f}"}])


def read_trace(path: Path) -> Trace:
    """Read what `write_trace` wrote.

    Raises:
        JudgingError: it is no trace.
    """
    columns, rows = read_csv(path)
    times_s = np.array([_number(row.get(TIME, "")) for row in rows])
    if columns != [TIME, *QUANTITIES] or not rows or np.isnan(times_s).any():
        raise JudgingError(f"{path}: is no trace; its columns must be {', '.join((TIME, *QUANTITIES))}")
    values = {name: np.array([_number(row[name]) for row in rows[:-1]]) for name in QUANTITIES}
    return Trace(times_s=times_s[:-1], values=values, duration_s=float(times_s[-1]))
