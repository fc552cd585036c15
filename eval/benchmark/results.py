"""From the records of runs to medians, ratios, agreement and the distance from the floor."""

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
"""In the order in which they are drawn. `start` is all that is in no stage: the interpreter, imports, loading
networks."""
Key = tuple[str, str, str]
"""Network, scan, contestant."""
BESIDES_START = {"load networks"}
"""Stages of a report that count towards `start`."""


@dataclass(frozen=True)
class Agreement:
    """How two label maps agree."""

    dice: float
    """Mean over the labels that either map holds."""
    labels: int
    """How many these are."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contestant on a scan: medians over its runs."""

    network: str
    scan: str
    contestant: str
    runs: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    others: float
    """Processors that other programs kept busy meanwhile."""
    windows: int
    """Run, of all networks but the localization's."""
    seconds: Mapping[str, float]
    """Of each of `STAGES` that there was."""
    stopped: str = ""
    """Why its runs did not end well; the figures then mean nothing."""
    floor_s: float = math.nan
    """Network time of these windows, reading and writing; NaN where it was not measured."""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    """With those contestants that it was compared with."""

    @property
    def key(self) -> tuple[str, str]:
        """What it is compared within."""
        return self.network, self.scan


def read_records(folder: Path) -> list[Json]:
    """All records of runs in a folder, those of the smallest scans first."""
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
        records: of runs.
        window_s: network to seconds of one window of it alone, as `predict.py` runs it; the mean of its
            members.
        agreements: of the label maps.
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
    told = good or records
    stages = [stages_of(record) for record in told]
    seconds = {
        name: median([stage.get(name, 0.0) for stage in stages])
        for name in STAGES
        if any(name in stage for stage in stages)
    }
    windows = max(windows_of(record) for record in told)
    io_s = seconds.get("read", math.nan) + seconds.get("write", math.nan)
    return Entry(
        network=network,
        scan=scan,
        contestant=contestant,
        runs=len(told),
        wall_s=median([record["wall_s"] for record in told]),
        cpu_s=median([record["cpu_s"] for record in told]),
        peak_mb=median([record["peak_mb"] for record in told]),
        others=median([record["others"] for record in told]),
        windows=windows,
        seconds=seconds,
        stopped="" if good else records[0]["stopped"] or f"exit code {records[0]['exit_code']}",
        floor_s=windows * window_s + io_s if contestant in (OURS, BARE) else math.nan,
        agreement=agreed,
    )


def stages_of(record: Json) -> dict[str, float]:
    """Seconds of each stage of a run; `start` is what the others leave of the wall time.

    Example: 10 s in all, 1 s of them reading and 6 s networks: start 3 s.
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
    """Windows that a run says it ran."""
    return sum(int(case.get("windows_run", 0)) for case in record["report"].get("cases", []))


def ratio(entries_of: Sequence[Entry], entry: Entry, what: str) -> float:
    """How many times what `predict.py` takes a contestant takes; NaN without a `predict.py` that ended well.

    Args:
        entries_of: all entries.
        entry: whose ratio.
        what: `wall_s`, `cpu_s` or `peak_mb`.
    """
    for ours in entries_of:
        if ours.key == entry.key and ours.contestant == OURS and not (ours.stopped or entry.stopped):
            return float(getattr(entry, what)) / float(getattr(ours, what))
    return math.nan


def agreement(one: U8, other: U8, right_of: Mapping[int, int]) -> Agreement:
    """How two maps (z, y, x) of one shape agree; 1 where both are empty.

    Args:
        one: labels.
        other: the same shape.
        right_of: left side's label to the right side's, of pairs that the plain pipeline does not tell apart.
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
    """Whose labels a contestant's are compared with."""
    return {PLAIN: (), EVEN: (PLAIN,), PLAIN_BF16: (PLAIN,)}.get(contestant, (PLAIN, EVEN))
