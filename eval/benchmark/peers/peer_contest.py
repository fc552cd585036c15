"""The benchmark of peers: all contestants in turn, each run a new process, and what comes of them.

Everything is kept in the output folder, and what exists and is still valid is not done again:

| folder or file | content |
|---|---|
| `scans/` | the CT and its truth, where none is given |
| `trained/` | phantoms, and what nnU-Net made of them, where no model is given |
| `bundles/` | the model imported, and a copy that is told to run faster |
| `runs/` | a record and samples of each run |
| `labels/` | label maps, and reports of LeanSeg |
| `window.json` | seconds of the network alone |
| `peers.md`, `peers.png` | tables and picture |
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from eval.benchmark.cold_runs import Json, Task, do, write_json
from eval.benchmark.contestants import ROOT
from eval.benchmark.extras import time_alone
from eval.benchmark.peers.peer_contestants import OURS, Contestant, Subjects, report_of
from eval.benchmark.peers.peer_results import PeerEntry, peer_entry
from eval.benchmark.results import agreement
from eval.eval_errors import JudgingError
from eval.files import file_sha256
from eval.volumes import grid_difference, read_labels

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PeerContest:
    """The runs to make, and the folder in which they are kept."""

    output: Path
    subjects: Subjects
    truth: Path | None
    """Label map of the CT, where it is known."""
    contestants: Sequence[Contestant]
    repeats: int
    """Runs of each contestant."""
    threads: int
    """Threads of the networks; 0 leaves the number to the libraries."""
    timeout_s: float
    """Seconds after which a run is stopped."""
    say: Say
    """Called with each line of progress."""

    def run_all(self) -> bool:
        """Make the runs that are missing, all contestants in turn; returns whether all ended well."""
        well = True
        for repeat in range(self.repeats):
            for contestant in self.contestants:
                record = do(self.task(contestant, repeat), self.timeout_s)
                labelled = contestant.labels_of(self.subjects, self.target(contestant)).is_file()
                well &= record["exit_code"] == 0 and labelled
                outcome = f"{record['wall_s']:.1f} s, {record['cpu_s']:.1f} s of CPU"
                failed = record["stopped"] or f"exit code {record['exit_code']}, see its .log in runs"
                self.say(
                    f"{contestant.name}, run {repeat + 1}: {outcome if record['exit_code'] == 0 else failed}"
                )
        return well

    def target(self, contestant: Contestant) -> Path:
        """The folder of its label map."""
        return self.output / "labels" / contestant.file_name

    def task(self, contestant: Contestant, repeat: int) -> Task:
        """One run."""
        target, subjects = self.target(contestant), self.subjects
        target.mkdir(parents=True, exist_ok=True)
        # The one way to tell nnU-Net's and MONAI's torch.
        environment = ["env", f"OMP_NUM_THREADS={self.threads}"] if self.threads else []
        return Task(
            folder=self.output / "runs",
            name=f"{contestant.file_name}-{repeat}",
            about={
                "contestant": contestant.name,
                "model_sha256": file_sha256(subjects.bundle_of(contestant.what) / "manifest.json"),
                "scan_bytes": subjects.image.stat().st_size,
                "threads": self.threads,
                "repeat": repeat,
            },
            command=[*environment, *contestant.command(subjects, target, self.threads)],
            report=report_of(target),
            cwd=ROOT,
            gpu="0" if contestant.device == "cuda" else None,
        )

    def entries(self, reference: Contestant) -> list[PeerEntry]:
        """What was measured of the contestants that ran, in the order given."""
        found = []
        for contestant in self.contestants:
            records = [self.task(contestant, repeat).record() for repeat in range(self.repeats)]
            good = [record for record in records if record and record["exit_code"] == 0]
            if not good:
                continue
            traces = [self.task(contestant, record["about"]["repeat"]).trace_path for record in good]
            found.append(
                peer_entry(
                    contestant.name,
                    good,
                    traces,
                    against=self._dice(contestant, self._labels(reference)),
                    truth=self._dice(contestant, self.truth),
                    floor_s=self._floor_s(contestant, good),
                )
            )
        return found

    def _labels(self, contestant: Contestant) -> Path:
        return contestant.labels_of(self.subjects, self.target(contestant))

    def _dice(self, contestant: Contestant, other: Path | None) -> float | None:
        """Mean over the structures that either map holds; None where there is nothing to compare with."""
        if other is None or not other.is_file():
            return None
        one, two = read_labels(self._labels(contestant)), read_labels(other)
        if difference := grid_difference(one.grid, two.grid):
            raise JudgingError(f"{other}: is not on the grid of {one.path}: {difference}")
        return agreement(one.labels, two.labels, {}).dice

    def _floor_s(self, contestant: Contestant, records: Sequence[Json]) -> float | None:
        """Seconds of the networks alone for all windows that ran and their mirrored copies.

        None for peers, and for GPUs.
        """
        if contestant.what not in OURS or contestant.device == "cuda":
            return None
        case = records[0]["report"]["cases"][0]
        bundle = self.subjects.bundle_of(contestant.what)
        members = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["members"]
        windows_s = [
            2 ** len(member["tiling"].get("mirror_axes", [])) * self._window_s(bundle, member["file"], case)
            for member in members
        ]
        return float(mean(windows_s)) * int(case["windows_run"])

    def _window_s(self, bundle: Path, file: str, case: Json) -> float:
        """Seconds of one window, measured once and kept."""
        backend, precision = case["plan"]["backend"], case["plan"]["precisions"][file]
        path = self.output / "window.json"
        kept: Json = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        key = f"{file_sha256(bundle / file)} {backend} {precision} {self.threads}"
        if key not in kept:
            kept[key] = time_alone(bundle / file, backend, precision, self.threads)
            write_json(path, kept)
        return float(kept[key])
