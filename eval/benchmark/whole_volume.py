"""Whole volumes against sliding windows: one bundle, its members given any window and given only their own.

Both run the same files by `predict.py`, each case in a new process; Dice is against the truth. Everything is
kept in the output folder, and runs that were made are not made again:

| folder | content |
|---|---|
| `sliding/` | the bundle, its manifest without what it says of other windows |
| `runs/` | a record and samples of each run |
| `labels/` | label maps and reports of `predict.py` |
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np

from eval.benchmark.cold_runs import Json, Task, do
from eval.benchmark.contestants import OURS, ROOT, Network, changed_copy, command_of, labels_of, report_of
from eval.benchmark.results import Entry, entries
from eval.benchmark.scans import Scan
from eval.eval_errors import JudgingError
from eval.files import case_of
from eval.paper_table import markdown
from eval.scoring.metrics import dice_per_label
from eval.volumes import grid_difference, read_labels

WHOLE, SLIDING = "whole volume", "sliding window"
HEADER = ("case", "way", "runs", "windows", "networks s", "wall s", "CPU s", "peak MiB", "others", "Dice")


@dataclass(frozen=True, kw_only=True)
class WholeVolumeBenchmark:
    """The runs to make, and the folder in which they are kept."""

    output: Path
    """Folder for everything."""
    ways: tuple[Network, Network]
    """The bundle as it is, and for its own windows alone (`both_ways`)."""
    cases: Sequence[tuple[Scan, Path]]
    """CTs and their truths."""
    repeats: int
    """Runs of each case in each way."""
    threads: int
    """Threads of the networks; 0 leaves the number to the libraries."""
    timeout_s: float
    """Seconds after which a run is stopped."""
    say: Callable[[str], object]
    """Called with each line of progress."""

    def run_all(self) -> list[Json]:
        """The records of all runs; those that are missing are made. The ways take turns."""
        records = []
        for repeat in range(self.repeats):
            for scan, _ in self.cases:
                for network in self.ways:
                    record = do(self._task(network, scan, repeat), self.timeout_s)
                    self.say(f"{scan.name}, {network.name}, run {repeat + 1}: {record['wall_s']:.1f} s")
                    records.append(record)
        return records

    def _target(self, network: Network, scan: Scan) -> Path:
        return self.output / "labels" / f"{scan.name}-{network.name.replace(' ', '-')}"

    def _task(self, network: Network, scan: Scan, repeat: int) -> Task:
        target = self._target(network, scan)
        return Task(
            folder=self.output / "runs",
            name=f"{target.name}-{repeat}",
            about={
                "contestant": network.name,
                "network": "",
                "bundle_sha256": network.sha256,
                "scan": scan.name,
                "scan_bytes": scan.path.stat().st_size,
                "threads": self.threads,
                "repeat": repeat,
            },
            command=command_of(OURS, network, scan, target, self.threads),
            report=report_of(target),
            cwd=ROOT,
        )

    def dice(self) -> dict[tuple[str, str], float]:
        """Mean Dice over the structures of each truth, by case and way, where there are labels.

        Raises:
            JudgingError: a truth lies on another grid than its CT.
        """
        found = {}
        for scan, truth_path in self.cases:
            truth = read_labels(truth_path)
            structures = [label for label in np.unique(truth.labels).tolist() if label]
            for network in self.ways:
                path = labels_of(OURS, self._target(network, scan), scan)
                if not path.exists():
                    continue
                prediction = read_labels(path)
                if difference := grid_difference(prediction.grid, truth.grid):
                    raise JudgingError(f"{truth_path}: is not on the grid of {scan.path}: {difference}")
                scores = dice_per_label(prediction.labels, truth.labels, structures)
                found[scan.name, network.name] = mean(scores.values()) if scores else 1.0
        return found


def both_ways(bundle: Path, output: Path) -> tuple[Network, Network]:
    """The bundle as it is, and a copy whose members take their own window only.

    Raises:
        JudgingError: there is no bundle, or none of its members takes any window.
    """
    path = bundle / "manifest.json"
    try:
        members = json.loads(path.read_text(encoding="utf-8"))["members"]
        choosy = any(member.get("window", {}).get("kind") == "any" for member in members)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise JudgingError(f"{bundle}: no bundle here ({error}); give a bundle's folder") from error
    if not choosy:
        raise JudgingError(
            f"{path}: no member takes any window, so there is nothing to compare; export it with --set "
            "inference.any_window=true"
        )

    def own_window(manifest: Json) -> Json:
        kept = [
            {name: said for name, said in each.items() if name != "window"} for each in manifest["members"]
        ]
        return {**manifest, "members": kept}

    sliding = changed_copy(bundle, output / "sliding", own_window)
    first, second = (
        Network(name=name, bundle=folder, bare=None, weights=output)
        for name, folder in ((WHOLE, bundle), (SLIDING, sliding))
    )
    return first, second


def cases_of(images: Path, truths: Path) -> list[tuple[Scan, Path]]:
    """CTs of a folder, each with its truth.

    Raises:
        JudgingError: there is none, or one has no truth.
    """
    paths = sorted(path for path in images.glob("*.nii.gz") if path.is_file())
    if not paths:
        raise JudgingError(f"{images}: holds no .nii.gz file; give a folder of CTs with --images")
    found = []
    for path in paths:
        truth = truths / f"{case_of(path.name)}.nii.gz"
        if not truth.is_file():
            raise JudgingError(f"{truth}: no such file; give the folder of truths with --truth")
        found.append((Scan(name=case_of(path.name), path=path.resolve()), truth))
    return found


def whole_volume_table(records: Sequence[Json], dice: dict[tuple[str, str], float]) -> str:
    """Medians of each case and way, and below how they compare, in Markdown."""
    found = entries(records, {}, {})
    rows = [
        [
            entry.scan,
            entry.contestant,
            str(entry.runs),
            *(
                [entry.stopped, "", "", "", "", "", ""]
                if entry.stopped
                else [
                    str(entry.windows),
                    f"{entry.seconds.get('networks', 0.0):.2f}",
                    f"{entry.wall_s:.2f}",
                    f"{entry.cpu_s:.2f}",
                    f"{entry.peak_mb:.0f}",
                    f"{entry.others:.2f}",
                    f"{dice.get((entry.scan, entry.contestant), float('nan')):.4f}",
                ]
            ),
        ]
        for entry in sorted(found, key=lambda entry: (entry.scan, entry.contestant != WHOLE))
    ]
    return "\n".join([markdown(HEADER, rows), *_compared(found, dice)]) + "\n"


def _compared(found: Sequence[Entry], dice: dict[tuple[str, str], float]) -> list[str]:
    """How many times as long the sliding window takes, over cases that ran both ways; mean Dice."""
    by_way = {(entry.scan, entry.contestant): entry for entry in found if not entry.stopped}
    pairs = [
        (by_way[scan, WHOLE], by_way[scan, SLIDING])
        for scan in dict.fromkeys(entry.scan for entry in found)
        if {(scan, WHOLE), (scan, SLIDING)} <= by_way.keys()
    ]
    if not pairs:
        return ["No case ran both ways."]
    lines = [f"{len(pairs)} cases, sliding window over whole volume, median (least to most):"]
    for what, ratios in (
        ("networks", [two.seconds.get("networks", 0.0) / one.seconds["networks"] for one, two in pairs]),
        ("wall time", [two.wall_s / one.wall_s for one, two in pairs]),
        ("CPU time", [two.cpu_s / one.cpu_s for one, two in pairs]),
        ("peak memory", [two.peak_mb / one.peak_mb for one, two in pairs]),
    ):
        lines.append(f"- {what}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    scores = {way: mean(dice[one.scan, way] for one, _ in pairs) for way in (WHOLE, SLIDING)}
    lines.append(f"- mean Dice: whole volume {scores[WHOLE]:.4f}, sliding window {scores[SLIDING]:.4f}")
    return lines
