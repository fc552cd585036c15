"""`run.json`: by what a run can be told from others and made again."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from model.onnx_export.revision import git_revision
from model.schema import dump
from model.units import MIB
from training.data.found_cases import CaseFiles
from training.runs.run import Run
from training.whole_files import read_json, write_json

RECORD = "run.json"
PACKAGES = ("leanseg", "torch", "monai", "numpy", "scipy", "SimpleITK", "safetensors")


def write_record(run: Run, held_out: Sequence[CaseFiles], call: Sequence[str]) -> None:
    """Write `run.json` into the run's folder; a resumed run adds a start to the one that is there."""
    path = run.folder / RECORD
    starts = _earlier_starts(path) if run.info.step else []
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": run.info.step,
        "call": list(call),
    }
    record = {
        "starts": [*starts, start],
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in PACKAGES},
        "git_revision": git_revision(),
        "seed": run.info.seed,
        "precision": run.info.precision,
        "steps": run.timetable.steps,
        "parameters": run.parameters,
        "batch_size": run.timetable.stages[0].batch_size,
        "processes": run.ranks.world,
        "data": run.info.data,
        "data_hash": run.info.data_hash,
        "cases": list(run.info.cases),
        "held_out": [case.name for case in held_out],
        "hardware": hardware(run.device),
        "recipe": dump(run.info.recipe),
    }
    write_json(path, record)


def hardware(device: torch.device) -> dict[str, object]:
    """Processor, its cores, and the GPU where the run uses one."""
    found: dict[str, object] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "gpu_memory_mb": properties.total_memory // MIB,
            "cuda": torch.version.cuda,
        }
    return found


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _earlier_starts(path: Path) -> list[object]:
    try:
        starts = read_json(path)["starts"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return list(starts)
