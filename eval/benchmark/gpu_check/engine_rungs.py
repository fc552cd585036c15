"""Whole runs of `predict.py` with a bundle: labels beside the CPU's, memory beside the plan, a cold start."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.benchmark.cold_runs import Json
from eval.benchmark.gpu_check.bundle_networks import CheckedBundle
from eval.benchmark.gpu_check.rungs import Rung, failed, judged, skipped
from eval.benchmark.gpu_check.timed_programs import MOST_S, Ran, TimedPrograms
from eval.benchmark.one_gpu import gpu_peak_mb
from eval.benchmark.results import agreement, stages_of
from eval.eval_errors import JudgingError
from eval.measuring.trace import GPU, OWN_GPU
from eval.volumes import read_labels
from model.arrays import U8

BUDGETS_MB = (4096, 3072, 2048)
"""The largest first: its runs are those that labels and cold start are judged by."""
LEAST_AGREEMENT = {"fp32": 0.999, "fp16": 0.99}
"""Precision to the least share of labelled voxels that the CPU in fp32 labels so too (Dice of all structures
together)."""
REFERENCE_S = 240.0
"""Seconds for the CPU's run."""
REFUSED, RETRIED = "the memory budget cannot be kept", "trying once more with a smaller plan"
"""What `predict.py` says where a plan does not fit, and where the device ran out of memory in spite of it."""


@dataclass(frozen=True, kw_only=True)
class EngineChecks:
    """Checks of whole runs with one bundle on one CT."""

    programs: TimedPrograms
    bundle: CheckedBundle
    ct: Path
    """File or folder that `predict.py` is given."""
    labels: Path
    """Folder for label maps."""

    def all(self) -> Iterator[Rung]:
        """All checks: cold start, memory over time, memory beside the plan, labels."""
        runs = {BUDGETS_MB[0]: self._predict("first", "cuda", gpu_mb=BUDGETS_MB[0])}
        again = self._predict("second", "cuda", gpu_mb=BUDGETS_MB[0])
        yield self._cold_start("first run", runs[BUDGETS_MB[0]])
        yield self._cold_start("second run", again)
        yield self._memory_time(runs[BUDGETS_MB[0]])
        for budget_mb in BUDGETS_MB[1:]:
            runs[budget_mb] = self._predict(f"{budget_mb}-mib", "cuda", gpu_mb=budget_mb)
        for budget_mb, ran in runs.items():
            yield self._memory(budget_mb, ran)
        reference = self._predict("cpu", "cpu", precision="fp32", most_s=REFERENCE_S)
        yield self._labels("fp32", self._predict("fp32", "cuda", precision="fp32"), reference)
        yield self._labels("fp16", runs[BUDGETS_MB[0]], reference)

    def _predict(
        self,
        name: str,
        device: str,
        *,
        gpu_mb: int = BUDGETS_MB[0],
        precision: str = "auto",
        most_s: float = MOST_S,
    ) -> Ran:
        task = f"engine-{self.bundle.folder.name}-{name}"
        report = self.programs.folder / f"{task}-report.json"
        words = ["predict.py", "--input", str(self.ct), "--output", str(self.labels / task)]
        words += ["--bundle", str(self.bundle.folder), "--device", device, "--precision", precision]
        words += ["--gpu-memory-mb", str(gpu_mb), "--report", str(report)]
        return self.programs.run(task, words, report, most_s)

    def _unusable(self, check: str, of: str, ran: Ran) -> Rung | None:
        """The rung of a run that cannot be judged; None if it can."""
        if ran.skipped:
            return skipped(check, of, ran.skipped)
        if REFUSED in ran.failed:
            return skipped(check, of, f"refused, {ran.failed.partition(REFUSED)[2].lstrip('; ')}")
        if ran.failed:
            return failed(check, of, ran.failed)
        cases = ran.report.get("cases", [])
        if len(cases) != 1:
            return failed(check, of, f"a report of {len(cases)} cases, must be 1")
        if (backend := _plan(ran)["backend"]) != "cuda":
            return failed(check, of, f"ran on {backend}, not on cuda")
        return None

    def _cold_start(self, which: str, ran: Ran) -> Rung:
        check, of = "cold start", f"{self.bundle.name}, {which}"
        if rung := self._unusable(check, of, ran):
            return rung
        seconds = {f"{stage} s": f"{value:.2f}" for stage, value in stages_of(ran.record).items()}
        return judged(check, of, [], {"wall s": f"{ran.record['wall_s']:.2f}", **seconds})

    def _memory_time(self, ran: Ran) -> Rung:
        check = "GPU memory over time"
        if rung := self._unusable(check, self.bundle.name, ran):
            return rung
        trace = ran.trace
        if trace is None or not trace.has(GPU):
            return failed(check, self.bundle.name, "the driver gave no samples of the GPU's memory")
        figures = {
            "wall s": f"{ran.record['wall_s']:.1f}",
            "device, before MB": f"{trace.baseline(GPU):.0f}",
            "device MB·s": f"{trace.integral(GPU):.0f}",
            "device MB·s, as organisers sum": f"{trace.organisers_sum(GPU):.0f}",
            "its own MB·s": f"{trace.integral(OWN_GPU):.0f}" if trace.has(OWN_GPU) else "not told",
        }
        return judged(check, self.bundle.name, [], figures)

    def _memory(self, budget_mb: int, ran: Ran) -> Rung:
        """A peak beyond the plan is a fault, within the budget or not: a plan says what is taken at most.

        Samples lie 0.2 s apart, which finds the peak, since onnxruntime's arena gives nothing back before
        the end of a run.
        """
        check, of = "peak GPU memory", f"{self.bundle.name}, {budget_mb} MiB"
        if rung := self._unusable(check, of, ran):
            return rung
        planned_mb = float(_plan(ran)["gpu_mb"])
        peak_mb = math.nan if ran.trace is None else gpu_peak_mb(ran.trace)
        if math.isnan(peak_mb):
            return failed(check, of, "the driver gave no samples of the GPU's memory")
        faults = []
        if peak_mb > budget_mb:
            faults.append(f"held {peak_mb:.0f} MiB of {budget_mb}")
        elif peak_mb > planned_mb:
            faults.append(f"held {peak_mb:.0f} MiB, {peak_mb - planned_mb:.0f} more than planned")
        faults += [
            f"ran out of memory: {warning}"
            for warning in ran.report["cases"][0]["warnings"]
            if RETRIED in warning
        ]
        figures = {
            "planned MiB": f"{planned_mb:.0f}",
            "peak MiB": f"{peak_mb:.0f}",
            "peak / plan": f"{peak_mb / planned_mb:.2f}",
            "windows": _windows(ran),
            "wall s": f"{ran.record['wall_s']:.1f}",
        }
        return judged(check, of, faults, figures)

    def _labels(self, precision: str, ran: Ran, reference: Ran) -> Rung:
        check, of = f"labels, {precision}", self.bundle.name
        if rung := self._unusable(check, of, ran):
            return rung
        computed = sorted(set(_plan(ran)["precisions"].values()))
        if precision not in computed:
            return skipped(check, of, f"the bundle has no {precision} files; computed in {computed[0]}")
        if reference.skipped or reference.failed:
            return skipped(check, of, f"no labels of the CPU: {reference.skipped or reference.failed}")
        if _windows(ran) != _windows(reference):
            return skipped(
                check, of, f"windows of {_windows(ran)}, on the CPU {_windows(reference)}: other labels"
            )
        try:
            ours, theirs = (read_labels(self._written(each)).labels for each in (ran, reference))
        except JudgingError as error:
            return failed(check, of, str(error))
        pooled, labelled = _pooled_dice(ours, theirs)
        least = LEAST_AGREEMENT[precision]
        faults = [] if pooled >= least else [f"{pooled:.4f} of the labels agree, at least {least} must"]
        by_structure = agreement(ours, theirs, {})
        figures = {
            "Dice of all labels": f"{pooled:.5f}",
            "mean Dice": f"{by_structure.dice:.5f} ({by_structure.labels} labels)",
            "voxels that differ": f"{np.count_nonzero(ours != theirs)} of {labelled} labelled",
        }
        return judged(check, of, faults, figures)

    def _written(self, ran: Ran) -> Path:
        """The label map of a run."""
        return self.labels / ran.name / str(ran.report["cases"][0]["output"])


def _plan(ran: Ran) -> Json:
    plan: Json = ran.report["cases"][0]["plan"]
    return plan


def _windows(ran: Ran) -> str:
    windows: list[list[int]] = _plan(ran)["windows_zyx"]
    return ", ".join("×".join(map(str, window)) for window in windows)


def _pooled_dice(one: U8, other: U8) -> tuple[float, int]:
    """Dice of all structures together, 1 where neither map has any, and the voxels that either map labels.

    Example: 1 1 2 0 and 1 2 2 0 have 2 voxels with the same label and 3 labelled ones each: 2·2 / 6 = 0.667.
    """
    same = int(np.count_nonzero((one == other) & (one > 0)))
    sizes = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * same / sizes if sizes else 1.0, int(np.count_nonzero((one > 0) | (other > 0)))
