"""Results of a benchmark from the records of its runs: medians, ratios, agreement of labels, floor."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from eval.benchmark.cold_runs import Json
from eval.benchmark.contestants import BARE, EVEN, OURS, PLAIN, PLAIN_BF16
from eval.scoring.metrics import dice_per_label, label_boxes
from model.arrays import U8

START = "start"
STAGES = (START, "read", "localize", "preprocess", "networks", "restore", "clean up", "write")
"""Stages in the order in which they are drawn. `start` is all time outside the others: the interpreter,
imports, loading networks."""
Key = tuple[str, str, str]
"""Network, scan, contestant."""
BESIDES_START = {"load networks"}
"""Stages of a report that count as part of `start`."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two label maps."""

    dice: float
    """Mean over the labels that either map holds."""
    labels: int
    """Number of these labels."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contestant with one network on one scan; times and memory are medians over its runs."""

    network: str
    """Name of the network."""
    scan: str
    """Name of the scan."""
    contestant: str
    """Name of the contestant."""
    runs: int
    """Number of runs."""
    wall_s: float
    """Wall time."""
    cpu_s: float
    """CPU time."""
    peak_mb: float
    """Peak of resident memory in MiB."""
    others: float
    """Number of processors that other programs kept busy meanwhile."""
    windows: int
    """Number of windows run, without those of the localization network."""
    seconds: Mapping[str, float]
    """Stage to its seconds, for those of `STAGES` that occurred."""
    stopped: str = ""
    """Why its runs did not end well; if they did not, the other figures are meaningless."""
    floor_s: float = math.nan
    """Seconds for these windows by the networks alone, and for reading and writing; NaN if not measured."""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    """Contestant to the agreement with its labels, for those that were compared."""

    @property
    def key(self) -> tuple[str, str]:
        """Network and scan; entries with the same key are compared with each other."""
        return self.network, self.scan


def read_records(folder: Path) -> list[Json]:
    """All records of runs in a folder, sorted by the size of the scans."""
    records = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
        if not path.name.endswith("-report.json")
    ]
    return sorted(
        (record for record in records if "about" in record), key=lambda record: record["about"]["scan_bytes"]
    )


def entries(
    records: Iterable[Json], window_s: Mapping[str, float], agreements: Mapping[Key, Mapping[str, Agreement]]
) -> list[Entry]:
    """One entry for each network, scan and contestant.

    Args:
        records: records of the runs.
        window_s: network to the seconds that it takes alone for one window, as the mean over its members.
        agreements: network, scan and contestant to the agreement of its label map with that of others.
    """
    groups: dict[Key, list[Json]] = {}
    for record in records:
        about = record["about"]
        groups.setdefault((about["network"], about["scan"], about["contestant"]), []).append(record)
    return [
        _entry(key, group, window_s.get(key[0], math.nan), agreements.get(key, {}))
        for key, group in groups.items()
    ]


def _entry(key: Key, records: Sequence[Json], window_s: float, agreed: Mapping[str, Agreement]) -> Entry:
    network, scan, contestant = key
    good = [record for record in records if record["exit_code"] == 0]
    counted = good or records
    stages = [stages_of(record) for record in counted]
    seconds = {
        name: median([stage.get(name, 0.0) for stage in stages])
        for name in STAGES
        if any(name in stage for stage in stages)
    }
    windows = max(windows_of(record) for record in counted)
    io_s = seconds.get("read", math.nan) + seconds.get("write", math.nan)
    return Entry(
        network=network,
        scan=scan,
        contestant=contestant,
        runs=len(counted),
        wall_s=median([record["wall_s"] for record in counted]),
        cpu_s=median([record["cpu_s"] for record in counted]),
        peak_mb=median([record["peak_mb"] for record in counted]),
        others=median([record["others"] for record in counted]),
        windows=windows,
        seconds=seconds,
        stopped="" if good else records[0]["stopped"] or f"exit code {records[0]['exit_code']}",
        floor_s=windows * window_s + io_s if contestant in (OURS, BARE) else math.nan,
        agreement=agreed,
    )


def stages_of(record: Json) -> dict[str, float]:
    """Stage to its seconds in a run; `start` is the wall time that the other stages leave.

    Example: of 10 s in all, reading takes 1 s and the networks 6 s; then `start` is 3 s.
    """
    seconds: dict[str, float] = {}
    for case in record["report"].get("cases", []):
        for name, value in case["seconds"].items():
            if name not in BESIDES_START:
                seconds[name] = seconds.get(name, 0.0) + float(value)
    if not seconds:
        return {}
    return {START: max(0.0, record["wall_s"] - sum(seconds.values())), **seconds}


def windows_of(record: Json) -> int:
    """Number of windows in the report of a run."""
    return sum(int(case.get("windows_run", 0)) for case in record["report"].get("cases", []))


def ratio(entries_of: Sequence[Entry], entry: Entry, what: str) -> float:
    """A contestant's figure divided by that of `predict.py`; NaN if either did not end well.

    Args:
        entries_of: all entries.
        entry: that of the contestant.
        what: name of the figure: `wall_s`, `cpu_s` or `peak_mb`.
    """
    for ours in entries_of:
        if ours.key == entry.key and ours.contestant == OURS and not (ours.stopped or entry.stopped):
            return float(getattr(entry, what)) / float(getattr(ours, what))
    return math.nan


def agreement(one: U8, other: U8, right_of: Mapping[int, int]) -> Agreement:
    """Agreement of two label maps (z, y, x) of one shape; 1 if both are empty.

    Args:
        one: the first label map.
        other: the second label map, of the same shape.
        right_of: label of a left structure to that of the right one, for the pairs whose sides the plain
            pipeline does not tell apart.
    """
    table = np.arange(256, dtype=np.uint8)
    for left, right in right_of.items():
        table[left] = right
    first, second = table[one], table[other]
    ids = sorted(label_boxes(first).keys() | label_boxes(second).keys())
    if not ids:
        return Agreement(1.0, 0)
    return Agreement(float(np.mean(list(dice_per_label(first, second, ids).values()))), len(ids))


def compared_with(contestant: str) -> tuple[str, ...]:
    """The contestants whose labels are compared with those of this one."""
    return {PLAIN: (), EVEN: (PLAIN,), PLAIN_BF16: (PLAIN,)}.get(contestant, (PLAIN, EVEN))
