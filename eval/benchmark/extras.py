"""Further measurements: start-up, a folder of cases against single runs, and networks alone."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from eval.benchmark.bundle_facts import read_bundle
from eval.benchmark.cold_runs import Json, Task, do, write_json
from eval.benchmark.contestants import OURS, ROOT, Network, command_of, report_of
from eval.benchmark.scans import Scan
from eval.eval_errors import JudgingError
from model.case_names import channel_stem

HELP_RUNS = 5


def window_seconds(record: Json, network: Network, folder: Path, threads: int) -> float:
    """Seconds for one window of a network alone, as the mean over its members; measured once and kept.

    Args:
        record: a run of `predict.py`, which says by which library and in which precision it ran the members.
        network: the network.
        folder: folder of the file with the figure.
        threads: number of threads of the network; 0 leaves it to the library.

    Raises:
        JudgingError: a network cannot be timed.
    """
    plan = record["report"]["cases"][0]["plan"]
    about = {
        "bundle_sha256": network.sha256,
        "backend": plan["backend"],
        "precisions": plan["precisions"],
        "threads": threads,
    }
    path = folder / f"window-{network.name}.json"
    try:
        kept: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    if kept.get("about") != about:
        taken = {
            member.path.name: time_alone(
                member.path, plan["backend"], plan["precisions"][member.path.name], threads
            )
            for member in read_bundle(network.bundle).members
        }
        kept = {"about": about, "seconds": taken}
        write_json(path, kept)
    return float(statistics.mean(kept["seconds"].values()))


def time_alone(path: Path, backend: str, precision: str, threads: int) -> float:
    """Seconds of one window of a network alone, in a new process.

    Args:
        path: the ONNX file.
        backend: openvino or onnxruntime.
        precision: fp32 or bf16.
        threads: of the network; 0 leaves it to the library.

    Raises:
        JudgingError: it cannot be timed.
    """
    command = [
        sys.executable,
        "-m",
        "eval.benchmark.network_time",
        "--onnx",
        str(path),
        "--backend",
        backend,
        "--precision",
        precision,
    ]
    done = subprocess.run([*command, "--threads", str(threads)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise JudgingError(
            f"{path}: cannot be timed alone ({(done.stderr.strip().splitlines() or ['no message'])[-1]})"
        )
    return float(json.loads(done.stdout)["seconds"])


def startup(scan: Scan, network: Network, target: Path) -> Json:
    """Seconds that `predict.py --help` takes, and that the imports of it and of a whole run take."""
    wall_s = []
    for _ in range(HELP_RUNS):
        start_s = time.monotonic()
        subprocess.run([sys.executable, "predict.py", "--help"], cwd=ROOT, capture_output=True, check=True)
        wall_s.append(time.monotonic() - start_s)
    words = command_of(OURS, network, scan, target, 0)[1:]
    return {
        "runs": HELP_RUNS,
        "help_wall_s": statistics.median(wall_s),
        "help_import_s": _import_seconds(["predict.py", "--help"]),
        "run_import_s": _import_seconds(words),
    }


def _import_seconds(words: list[str]) -> float:
    """Seconds that `-X importtime` shows for all modules together, also those that other threads import."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], cwd=ROOT, capture_output=True, text=True
    )
    return (
        sum(
            int(microseconds)
            for microseconds in re.findall(r"^import time:\s+(\d+) \|", done.stderr, re.MULTILINE)
        )
        / 1e6
    )


def folder_run(cases: int, scan: Scan, network: Network, output: Path, threads: int) -> Json:
    """The record of `predict.py` on a folder that holds the same scan under several names."""
    folder = output / "folders" / f"{network.name}-{scan.name}-{cases}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(cases):
        link = folder / f"{channel_stem(f'case{number:02d}', 0)}.nii.gz"
        if not link.exists():
            _same_file(scan.path, link)
    target = output / "labels" / f"{network.name}-{scan.name}-folder"
    task = Task(
        folder=output / "folders",
        name=f"{network.name}-{scan.name}-{cases}-run",
        about={
            "bundle_sha256": network.sha256,
            "scan_bytes": scan.path.stat().st_size,
            "cases": cases,
            "threads": threads,
        },
        command=command_of(OURS, network, Scan(name=scan.name, path=folder), target, threads),
        report=report_of(target),
        cwd=ROOT,
    )
    if task.record() is None:  # Results of a run that is recorded stay where they are.
        shutil.rmtree(target, ignore_errors=True)
    return do(task, seconds=3600.0)


def _same_file(source: Path, link: Path) -> None:
    try:
        os.link(source, link)
    except OSError:  # Links do not reach into another file system.
        shutil.copyfile(source, link)
