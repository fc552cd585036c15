"""Everything that is measured on a GPU, each in a process of its own: training steps, a run, the engine.

All of it is kept in the output folder, and what was measured at the same revision is not measured again:

| folder | content |
|---|---|
| `data/`, `scans/` | phantoms to train on, a CT to segment |
| `runs/` | a record, a log and samples of each process |
| `trained/` | checkpoints and the bundle made of them |
| `labels/` | label maps |
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType

from eval.benchmark.cold_runs import Json, Task, do
from eval.benchmark.contestants import ROOT
from eval.benchmark.one_gpu import failure, gpu_peak_mb
from eval.benchmark.pipelines import revision
from eval.benchmark.scans import TRAINING_PACKAGES, Scan, phantom_scans
from eval.eval_errors import JudgingError
from eval.measuring.trace import GPU, read_trace

EMBEDDED = ROOT / "bundles" / "default"
TIMEOUT_S = 3600.0
"""Seconds after which a process is stopped."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    recipes: Mapping[str, tuple[str, ...]]
    """Recipe to the fields that are set in it (`--set`)."""
    trained: str
    """The one of them that is trained and run."""
    steps: int
    """Steps that are measured of each."""
    training_steps: int
    """Steps of the run that is exported."""
    cases: int
    """Phantoms to train on."""
    spacing_mm: float
    """Their voxel size."""
    slices: int
    """Slices of the CT that is segmented, 512×512 voxels each."""
    repeats: int
    """Runs of the engine on it with each bundle."""


PHANTOM_LABELS = "label_set=flare23"
"""The phantoms hold FLARE23's structures, also for recipes that were published for others."""
FULL = Sizes(
    # A GPU's share of each published batch, which all but the first have spread over eight GPUs.
    recipes=MappingProxyType(
        {
            "flare22-efficient": (PHANTOM_LABELS,),
            "flare22-accurate": (PHANTOM_LABELS,),
            "flare23-segresnet": ("sampling.batch_size=1",),
            "amos22-a": (PHANTOM_LABELS, "sampling.batch_size=2"),
            "amos22-b": (PHANTOM_LABELS, "sampling.batch_size=1"),
            "lamp-unet-32": (),
            "accelerated": (),
        }
    ),
    trained="flare22-efficient",
    steps=50,
    training_steps=1000,
    cases=8,
    spacing_mm=1.0,
    slices=300,
    repeats=3,
)
SMALL = Sizes(
    recipes=MappingProxyType(
        {"flare22-efficient-tiny": (PHANTOM_LABELS,), "flare23-segresnet-tiny": ("sampling.batch_size=1",)}
    ),
    trained="flare22-efficient-tiny",
    steps=2,
    training_steps=3,
    cases=2,
    spacing_mm=8.0,
    slices=20,
    repeats=1,
)
"""To try the program on a CPU."""


@dataclass(frozen=True, kw_only=True)
class GpuRuns:
    """The measurements, and the folder in which they are kept."""

    output: Path
    gpu: str | None
    """Index or UUID of the GPU; None: everything runs on the CPU."""
    sizes: Sizes
    say: Callable[[str], None]
    """Called with each line of progress."""

    @property
    def device(self) -> str:
        """What the commands call it."""
        return "cpu" if self.gpu is None else "cuda"

    def collect(self) -> Json:
        """Make the runs that are missing; what `eval.benchmark.gpu_section` renders.

        Raises:
            JudgingError: a phantom cannot be drawn.
        """
        data = self._data()
        steps = [self._steps(recipe, data) for recipe in self.sizes.recipes]
        run, export = self._train(data)
        bundles = {"embedded": EMBEDDED} | ({} if export["failed"] else {"trained here": self._bundle})
        scan, *_ = phantom_scans([self.sizes.slices], self.output / "scans")
        return {
            "revision": revision(),
            "gpu_measured": self.gpu is not None,
            "steps": steps,
            "training": {
                "recipe": self.sizes.trained,
                "steps": self.sizes.training_steps,
                "run": run,
                "export": export,
            },
            "engine": [self._engine(name, bundle, scan) for name, bundle in bundles.items()],
        }

    @property
    def _bundle(self) -> Path:
        return self.output / "trained" / "bundle"

    def _data(self) -> Path:
        folder = self.output / "data"
        if not (folder / "dataset.json").is_file():
            spacing = [str(self.sizes.spacing_mm)] * 3
            words = ["phantom", "--cases", str(self.sizes.cases), "--coverage", "abdomen", "-o", str(folder)]
            done = subprocess.run(
                [sys.executable, "-m", "training", *words, "--spacing-zyx-mm", *spacing],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise JudgingError(f"the phantoms cannot be drawn ({said}); {TRAINING_PACKAGES}")
        return folder

    def _steps(self, recipe: str, data: Path) -> Json:
        report = self.output / "runs" / f"steps-{recipe}-report.json"
        words = ["benchmark", "step", recipe, "--data", str(data), "--device", self.device]
        words += ["--steps", str(self.sizes.steps), "--json", str(report), *self._overrides(recipe)]
        record = self._do(f"steps-{recipe}", ["-m", "training", *words], report)
        return {"recipe": recipe, **self._outcome(record), **record["report"]}

    def _overrides(self, recipe: str) -> list[str]:
        return [word for field in self.sizes.recipes[recipe] for word in ("--set", field)]

    def _train(self, data: Path) -> tuple[Json, Json]:
        """How a run and its export went; both leave their files in `trained/`."""
        recipe, folder = self.sizes.trained, self.output / "trained" / "run"
        words = ["train", recipe, "--data", str(data), "--output", str(folder), "--device", self.device]
        words += ["--steps", str(self.sizes.training_steps), "--validation", "0"]
        run = self._do("train", ["-m", "training", *words, *self._overrides(recipe)], afresh=folder)
        # Without fp16, which may change labels of a network that is still undecided; export refuses that.
        words = ["export", str(folder / "last.safetensors"), "--output", str(self._bundle), "--no-fp16"]
        export = self._do("export", ["-m", "training", *words, "--overwrite"])
        return self._outcome(run), self._outcome(export)

    def _engine(self, name: str, bundle: Path, scan: Scan) -> Json:
        """Medians over the runs of `predict.py` with a bundle."""
        records, peaks_mb, integrals = [], [], []
        for repeat in range(self.sizes.repeats):
            task = f"engine-{name.replace(' ', '-')}-{repeat}"
            report = self.output / "runs" / f"{task}-report.json"
            words = ["predict.py", "--input", str(scan.path), "--output", str(self.output / "labels" / task)]
            words += ["--bundle", str(bundle), "--device", self.device, "--report", str(report)]
            records.append(self._do(task, words, report))
            trace = read_trace(self.output / "runs" / f"{task}.csv")
            peaks_mb.append(gpu_peak_mb(trace))
            integrals.append(trace.integral(GPU))
        ended = next((self._outcome(r) for r in records if r["exit_code"]), self._outcome(records[0]))
        cases = records[0]["report"].get("cases", [])
        plan = cases[0]["plan"] if cases else {}
        return {
            "bundle": name,
            "scan": scan.name,
            "runs": len(records),
            **ended,
            "wall_s": median(record["wall_s"] for record in records),
            "host_peak_mb": median(record["peak_mb"] for record in records),
            "gpu_peak_mb": median(peaks_mb) if self.gpu is not None else None,
            "gpu_mb_s": median(integrals) if self.gpu is not None else None,
            "backend": plan.get("backend", ""),
            "precisions": sorted(set(plan.get("precisions", {}).values())),
        }

    def _do(
        self, name: str, words: Sequence[str], report: Path | None = None, afresh: Path | None = None
    ) -> Json:
        """The record of a process, which runs unless it has ended well at this revision.

        Args:
            name: of the record.
            words: after `python`.
            report: file that the process writes.
            afresh: folder that it must find empty.
        """
        folder = self.output / "runs"
        task = Task(
            folder=folder,
            name=name,
            about={"words": list(words), "gpu": self.gpu, "revision": revision()},
            command=[sys.executable, *words],
            report=report or folder / f"{name}-report.json",
            cwd=ROOT,
            gpu=self.gpu,
        )
        if (task.record() or {"exit_code": 1})["exit_code"]:
            task.record_path.unlink(missing_ok=True)
            if afresh is not None:
                shutil.rmtree(afresh, ignore_errors=True)
        record = {"name": name, **do(task, TIMEOUT_S)}
        self.say(f"{name}: {self._outcome(record)['failed'] or format(record['wall_s'], '.1f') + ' s'}")
        return record

    def _outcome(self, record: Json) -> Json:
        """Wall time, and why a process failed, in a line; empty if it did not."""
        log = self.output / "runs" / f"{record['name']}.log"
        return {"wall_s": record["wall_s"], "failed": failure(record, log)}
