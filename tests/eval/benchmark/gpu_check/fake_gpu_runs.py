"""Stands for `cold_runs.do` on a machine with a GPU: no process runs; records, samples and labels are there.

Every run takes 2 s. The GPU holds 300 MiB for somebody else; a whole run is planned to take 1500 MiB and
holds 1200 in half of its samples, so that its own memory over time is 1200·1 and the straight rise to it.
"""

import json

import numpy as np

from eval.benchmark.cold_runs import write_json
from eval.measuring.trace import GPU, OWN_GPU, QUANTITIES, Trace, write_trace
from tests.eval.made import write

LABELS = np.array([[[1, 1, 2, 0]]], np.uint8)
NETWORK = {
    "version": "1.31.1",
    "available": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
    "used": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "import_s": 0.5,
    "open_s": 1.25,
    "first_window_s": 0.2,
    "window_s": 0.01,
    "largest_difference": 1e-4,
    "agreement": 0.9999,
}


def write_bundle(folder, *, fp16=True, channels=1):
    """A manifest as far as the ladder reads it: one member, and a network that localizes."""
    folder.mkdir(parents=True)
    member = {"file": "member.onnx", "window_zyx": [16, 24, 32], "axes": "LPS"}
    manifest = {
        "name": folder.name,
        "inputs": [{"intensity": {"kind": "window"}}] * channels,
        "members": [member | ({"fp16_file": "member.fp16.onnx"} if fp16 else {})],
        "localization": {"file": "localization.onnx", "window_zyx": [8, 8, 8]},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


class FakeGpuRuns:
    """What each program does, by a part of its name: `fails` to a line, the others to figures."""

    def __init__(self, *, fails=None, exit_codes=None, networks=None, plans=None, peaks_mb=None, labels=None):
        self.fails, self.exit_codes = fails or {}, exit_codes or {}
        self.networks, self.plans = networks or {}, plans or {}
        self.peaks_mb, self.labels = peaks_mb or {}, labels or {}
        self.warnings = {}
        self.tasks = []

    def __call__(self, task, seconds):
        self.tasks.append(task)
        line = self._of(self.fails, task, "")
        task.folder.mkdir(parents=True, exist_ok=True)
        log = f"started\nerror: {line}\n1 case: 1 failed; 2.0 s\n" if line else ""
        (task.folder / f"{task.name}.log").write_text(log, encoding="utf-8")
        write_trace(task.trace_path, self._trace(self._of(self.peaks_mb, task, 1200.0)))
        record = {
            "about": task.about,
            "exit_code": self._of(self.exit_codes, task, 1) if line else 0,
            "stopped": "",
            "wall_s": 2.0,
            "report": {} if line else self._report(task),
        }
        write_json(task.record_path, record)
        return record

    def _report(self, task):
        if "predict.py" not in task.command:
            return NETWORK | self._of(self.networks, task, {})
        words = dict(zip(task.command[2::2], task.command[3::2], strict=True))
        write(task.cwd / words["--output"] / "ct.nii.gz", self._of(self.labels, task, LABELS))
        on_gpu, half = words["--device"] == "cuda", words["--precision"] == "auto"
        plan = {
            "backend": "cuda" if on_gpu else "openvino",
            "precisions": {"member.onnx": "fp16" if on_gpu and half else "fp32", "localization.onnx": "fp32"},
            "windows_zyx": [[16, 24, 32]],
            "gpu_mb": 1500 if on_gpu else 0,
        }
        case = {
            "output": "ct.nii.gz",
            "warnings": self._of(self.warnings, task, []),
            "seconds": {"read": 0.25, "localize": 0.5, "networks": 0.75, "write": 0.125},
            "plan": plan | self._of(self.plans, task, {}),
        }
        return {"cases": [case]}

    @staticmethod
    def _of(answers, task, default):
        return next((answer for part, answer in answers.items() if part in task.name), default)

    @staticmethod
    def _trace(peak_mb):
        """Samples before the start, at 0, 1 and 2 s: the memory rises at once within the first second."""
        values = {name: np.full(4, np.nan) for name in QUANTITIES}
        if peak_mb is not None:
            values[OWN_GPU] = np.array([np.nan, 0.0, peak_mb, peak_mb])
            values[GPU] = np.array([300.0, 300.0, 300.0 + peak_mb, 300.0 + peak_mb])
        return Trace(times_s=np.array([-0.5, 0.0, 1.0, 1.9]), values=values, duration_s=2.0)
