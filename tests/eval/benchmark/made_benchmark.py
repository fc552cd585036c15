"""A benchmark whose runs were all made: records on disk, so that nothing has to run."""

import json
from pathlib import Path

import numpy as np

from eval.benchmark.cold_runs import write_json
from eval.benchmark.contestants import OURS, PLAIN, Network
from eval.benchmark.pipelines import Benchmark
from eval.benchmark.scans import Scan
from eval.measuring.trace import OWN_RAM, QUANTITIES, Trace, write_trace

SECONDS = {"read": 1.0, "networks": 6.0, "write": 0.5}


def network(folder: Path, name: str = "small") -> Network:
    """A bundle of which only the manifest's bytes matter."""
    bundle = folder / "bundles" / name
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "manifest.json").write_text(json.dumps({"name": name}))
    return Network(name=name, bundle=bundle, bare=None, weights=bundle / "weights")


def scan(folder: Path, name: str = "big", size: int = 7) -> Scan:
    """A file of so many bytes in place of a CT."""
    path = folder / f"{name}_0000.nii.gz"
    path.write_bytes(b"x" * size)
    return Scan(name=name, path=path)


def benchmark(folder: Path, **more) -> Benchmark:
    """One scan, one network, two contestants, in a folder."""
    fields = {
        "output": folder,
        "contestants": [OURS, PLAIN],
        "repeats": 1,
        "threads": 0,
        "timeout_s": 60.0,
        "say": lambda _: None,
        **more,
    }
    # What is given is not made again: writing it would change it.
    if "scans" not in more:
        fields["scans"] = [scan(folder)]
    if "networks" not in more:
        fields["networks"] = [network(folder)]
    return Benchmark(**fields)


def record(about: dict, wall_s: float, *, exit_code: int = 0, stopped: str = "", windows: int = 12) -> dict:
    """A run of some length, twice as much processor time and 100 MiB a second."""
    cases = [{"seconds": SECONDS, "windows_run": windows}]
    return {
        "about": about,
        "exit_code": exit_code,
        "stopped": stopped,
        "wall_s": wall_s,
        "cpu_s": 2 * wall_s,
        "peak_mb": 100 * wall_s,
        "others": 0.25,
        "report": {"cases": cases, "versions": {"onnxruntime": "1.0"}} if not exit_code else {},
    }


def write_run(made: Benchmark, contestant: str, wall_s: float, repeat: int = 0, **more) -> Path:
    """Record a run of a benchmark's first network and scan as made."""
    task = made.task(contestant, made.networks[0], made.scans[0], repeat)
    task.folder.mkdir(parents=True, exist_ok=True)
    write_json(task.record_path, record(task.about, wall_s, **more))
    times = np.arange(0.0, wall_s, 0.5)
    values = {name: np.full(times.size, np.nan) for name in QUANTITIES} | {OWN_RAM: 100 * times}
    write_trace(task.trace_path, Trace(times_s=times, values=values, duration_s=wall_s))
    return task.record_path
