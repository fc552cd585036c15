"""What a run did, as JSON for whoever has to account for it."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from inference.call import Call
from inference.cohort.opening import value_unit
from inference.cohort.outcome import Outcome, organ_figures
from inference.imaging.writing import whole_file
from inference.runtime.cuda_devices import is_cuda
from inference.runtime.process_memory import peak_mb
from inference.threads import Threads
from leanseg.version import VERSION
from model.bundle import ModelBundle
from model.case_names import printable

PACKAGES = {
    "numpy": "numpy",
    "SimpleITK": "SimpleITK",
    "cc3d": "connected-components-3d",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
"""Package to the distribution that brings it: not every package says its own version."""


def write_report(
    path: Path,
    call: Call,
    bundle: ModelBundle,
    outcomes: Sequence[Outcome],
    *,
    started: datetime,
    seconds: float,
) -> None:
    """Write the report of a run; cases that were not come to are in it as "not run".

    Args:
        path: the file.
        call: what was asked.
        bundle: that was run.
        outcomes: of all cases.
        started: when the run was.
        seconds: that it has taken.

    Raises:
        OutputError: it cannot be written.
    """
    document = {
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
        "program": f"LeanSeg {VERSION}",
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "device": _device(call, outcomes),
        "threads": Threads(call.threads).count,
        "asked": {"device": call.device, "threads": call.threads or None},
        "versions": {"python": sys.version.split()[0], **_versions()},
        "seconds": round(seconds, 3),
        "host_peak_mb": round(max([peak_mb(), *(_peak(outcome) for outcome in outcomes)])),
        "cases": [_case(outcome, value_unit(bundle)) for outcome in outcomes],
    }
    with whole_file(path) as file:
        file.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _device(call: Call, outcomes: Sequence[Outcome]) -> str | None:
    """What cases were run on, `cpu` or the GPU as it was asked for, each once; None where none was run."""
    gpu = call.device if is_cuda(call.device) else "cuda"
    plans = [plan for outcome in outcomes if isinstance(plan := outcome.account.get("plan"), Mapping)]
    return ", ".join(dict.fromkeys(gpu if plan["backend"] == "cuda" else "cpu" for plan in plans)) or None


def _versions() -> dict[str, str]:
    """Versions of the packages that were used: heavy ones are loaded only where a session needs them."""
    return {
        name: _version(name, distribution) for name, distribution in PACKAGES.items() if name in sys.modules
    }


def _version(package: str, distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules[package], "__version__", "unknown"))


def _case(outcome: Outcome, unit: str) -> dict[str, Any]:
    geometry = outcome.geometry
    return {
        "input": printable(str(outcome.case.path)),
        "output": printable(outcome.case.output_name),
        "status": outcome.status,
        "error": outcome.error and printable(outcome.error),
        "warnings": [printable(warning) for warning in outcome.warnings],
        "doubts": [*outcome.doubts],
        "organs": [*organ_figures(outcome.organs, unit)],
        "seconds": {stage: round(seconds, 3) for stage, seconds in outcome.timings.seconds.items()},
        "spans_unix_s": [
            [stage, round(start, 3), round(end, 3)] for stage, start, end in outcome.timings.spans
        ],
        "size_zyx": geometry and list(geometry.size_zyx),
        "spacing_zyx_mm": geometry and list(geometry.spacing_zyx_mm),
        **outcome.account,
    }


def _peak(outcome: Outcome) -> float:
    """MiB of host memory while the case was segmented; 0 if it was not."""
    peak = outcome.account.get("host_peak_mb", 0)
    return float(peak) if isinstance(peak, int | float) else 0.0
