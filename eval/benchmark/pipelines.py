"""The benchmark of whole pipelines: runs, comparison of labels, tables and pictures.

Everything is kept in the output folder, and what exists and is still valid is not done again:

| folder or file | content |
|---|---|
| `scans/` | CTs |
| `networks/` | bundles, weights for the plain pipeline, seconds of a network alone |
| `runs/` | a record and samples of each run |
| `labels/` | label maps and reports that the contestants wrote |
| `folders/` | a folder of cases and the record of its run |
| `agreement.json` | agreement of the contestants' labels |
| `extras.json` | start-up and folder |
"""

import json
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from eval.benchmark.bundle_facts import read_bundle
from eval.benchmark.cold_runs import Json, Task, do, write_json
from eval.benchmark.contestants import (
    BARE,
    CONTESTANTS,
    EVEN,
    MODES,
    OURS,
    ROOT,
    Network,
    command_of,
    labels_of,
    prepare_network,
    prepare_weights,
    report_of,
)
from eval.benchmark.extras import folder_run, startup, window_seconds
from eval.benchmark.markdown_table import contestants_table, extras_text, floor_table, ordered, stages_table
from eval.benchmark.results import Agreement, Entry, Key, agreement, compared_with, entries, read_records
from eval.benchmark.scans import Scan
from eval.benchmark.stage_plots import draw_memory, draw_stages
from eval.machine import processors
from eval.measuring.trace import Trace, read_trace
from eval.volumes import read_labels

Say = Callable[[str], None]
AGREEMENT, SEPARATOR = "agreement.json", "|"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The measurements to make, and the folder in which they are kept."""

    output: Path
    """Folder for everything."""
    scans: Sequence[Scan]
    """CTs to run on."""
    networks: Sequence[Network]
    """Networks to run."""
    contestants: Sequence[str]
    """Those of `CONTESTANTS` that run."""
    repeats: int
    """Number of runs of each contestant on each network and CT."""
    threads: int
    """Threads of the networks; 0 leaves the number to the libraries."""
    timeout_s: float
    """Seconds after which a run is stopped."""
    say: Say
    """Called with each line of progress."""

    def task(self, contestant: str, network: Network, scan: Scan, repeat: int) -> Task:
        """One run to make."""
        target = self._target(contestant, network, scan)
        return Task(
            folder=self.output / "runs",
            name=f"{target.name}-{repeat}",
            about={
                "contestant": contestant,
                "network": network.name,
                "bundle_sha256": network.sha256,
                "scan": scan.name,
                "scan_bytes": scan.path.stat().st_size,
                "threads": self.threads,
                "repeat": repeat,
            },
            command=command_of(contestant, network, scan, target, self.threads),
            report=report_of(target),
            cwd=ROOT,
        )

    def _target(self, contestant: str, network: Network, scan: Scan) -> Path:
        return self.output / "labels" / f"{network.name}-{scan.name}-{contestant}"

    def run_all(self) -> bool:
        """Make all runs that are missing; returns whether all runs ended well."""
        well = True
        (self.output / "labels").mkdir(parents=True, exist_ok=True)
        for repeat in range(self.repeats):
            for scan in self.scans:
                for network in self.networks:
                    for contestant in self.contestants:
                        if contestant != BARE or network.bare:
                            well &= self._run(contestant, network, scan, repeat)
        return well

    def _run(self, contestant: str, network: Network, scan: Scan, repeat: int) -> bool:
        record = do(self.task(contestant, network, scan, repeat), self.timeout_s)
        well = bool(record["exit_code"] == 0)
        outcome = (
            f"{record['wall_s']:.1f} s, {record['peak_mb']:.0f} MiB"
            if well
            else record["stopped"] or f"exit code {record['exit_code']}"
        )
        self.say(f"{network.name}, {scan.name}, {contestant}, run {repeat + 1}: {outcome}")
        if well and contestant == OURS:
            window_seconds(record, network, self.output / "networks", self.threads)
        return well

    def run_extras(self, cases: int) -> Json:
        """Measure start-up, and a folder of cases if there are single runs to compare it with."""
        scan, network = self.scans[0], self.networks[-1]
        extras: Json = _read_json(self.output / "extras.json")
        if "startup" not in extras:
            extras["startup"] = startup(scan, network, self.output / "labels" / "startup")
        cold = [
            r
            for repeat in range(self.repeats)
            if (r := self.task(OURS, network, scan, repeat).record()) and r["exit_code"] == 0
        ]
        if cases and cold:
            record = folder_run(cases, scan, network, self.output, self.threads)
            cold_s = sorted(r["wall_s"] for r in cold)[len(cold) // 2]
            figures = {
                "network": network.name,
                "scan": scan.name,
                "cases": cases,
                "wall_s": record["wall_s"],
                "cold_wall_s": cold_s,
            }
            extras["folders"] = [figures]
            self.say(f"folder of {cases}: {record['wall_s']:.1f} s")
        write_json(self.output / "extras.json", extras)
        return extras

    def compare_labels(self) -> None:
        """Compare the labels of contestants and write their agreement, wherever both label maps exist."""
        path = self.output / AGREEMENT
        kept = _read_json(path)
        for network in self.networks:
            right_of = read_bundle(network.bundle).right_of
            for scan, one, other in product(self.scans, CONTESTANTS, CONTESTANTS):
                files = [labels_of(who, self._target(who, network, scan), scan) for who in (one, other)]
                if other not in compared_with(one) or not all(file.exists() for file in files):
                    continue
                name, stamps = (
                    SEPARATOR.join((network.name, scan.name, one, other)),
                    [file.stat().st_mtime for file in files],
                )
                if kept.get(name, {}).get("stamps") != stamps:
                    first, second = (read_labels(file).labels for file in files)
                    kept[name] = {"stamps": stamps, **asdict(agreement(first, second, right_of))}
                    write_json(path, kept)

    def entries(self) -> list[Entry]:
        """The results of all runs in the output folder, of this call and of earlier ones."""
        window_s = {}
        for path in (self.output / "networks").glob("window-*.json"):
            seconds = _read_json(path)["seconds"]
            window_s[path.stem.removeprefix("window-")] = sum(seconds.values()) / len(seconds)
        agreements: dict[Key, dict[str, Agreement]] = {}
        for name, value in _read_json(self.output / AGREEMENT).items():
            network, scan, one, other = name.split(SEPARATOR)
            agreements.setdefault((network, scan, one), {})[other] = Agreement(value["dice"], value["labels"])
        return entries(read_records(self.output / "runs"), window_s, agreements)


def prepare(names: Sequence[str], contestants: Sequence[str], output: Path) -> list[Network]:
    """Prepare networks to run.

    Raises:
        JudgingError: one cannot be prepared.
    """
    networks = [prepare_network(name, output / "networks") for name in names]
    if MODES.keys() & set(contestants):
        for network in networks:
            prepare_weights(network)
    return networks


def write_results(benchmark: Benchmark, extras: Json) -> str:
    """Write `benchmark.md` and the pictures; returns the Markdown."""
    # `plain-same-windows` serves to compare labels; plain-fp32 shows the time that the plain pipeline takes.
    found, output = [entry for entry in benchmark.entries() if entry.contestant != EVEN], benchmark.output
    parts = [
        "## Side by side",
        contestants_table(found),
        "## Above the floor",
        floor_table(found),
        "## Stages",
        stages_table(found),
    ]
    text = (
        "\n\n".join(
            [*parts, "## Start-up and folders", extras_text(extras), "## Machine", provenance(output)]
        )
        + "\n"
    )
    (output / "benchmark.md").write_text(text, encoding="utf-8")
    subject = f"drawn at revision {revision() or 'unknown'}; {_processors_in_words()}"
    draw_stages(found, output / "benchmark-stages.png", subject)
    traces: dict[Key, Trace] = {}
    for record in sorted(read_records(output / "runs"), key=lambda record: record["wall_s"], reverse=True):
        about = record["about"]
        path = (
            output
            / "runs"
            / f"{about['network']}-{about['scan']}-{about['contestant']}-{about['repeat']}.csv"
        )
        if record["exit_code"] == 0 and about["contestant"] != EVEN and path.exists():
            traces[about["network"], about["scan"], about["contestant"]] = read_trace(path)
    keys = [(entry.network, entry.scan, entry.contestant) for entry in ordered(found)]
    traces = {key: traces[key] for key in keys if key in traces}
    draw_memory(traces, output / "benchmark-memory.png", subject)
    return text


def revision() -> str:
    """Git's short name of what is measured; empty where git does not know it."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def provenance(output: Path) -> str:
    """Machine, revision and versions of packages, as a list in Markdown."""
    records = read_records(output / "runs")
    versions: dict[str, str] = {}
    for record in records:
        versions |= record["report"].get("versions", {})
    lines = [
        f"- {_processors_in_words()}, {platform.system()} {platform.machine()}",
        f"- tables written at revision {revision() or 'unknown'}",
        f"- {', '.join(f'{name} {version}' for name, version in versions.items())}",
    ]
    return "\n".join(lines)


def _processors_in_words() -> str:
    return f"{processors()} processors ({_processor_name()})"


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _read_json(path: Path) -> Json:
    try:
        document: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document
