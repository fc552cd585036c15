"""Which processes a GPU benchmark starts, and what it makes of their records; no process runs."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.benchmark import gpu_runs
from eval.benchmark.cold_runs import write_json
from eval.benchmark.gpu_runs import SMALL, GpuRuns
from eval.benchmark.scans import Scan
from eval.eval_errors import JudgingError
from eval.measuring.trace import GPU, OWN_GPU, QUANTITIES, Trace, write_trace
from tests.eval.benchmark.measured_gpu import steps

SIZES = replace(SMALL, recipes={"mine": ("label_set=flare23",)}, trained="mine", repeats=3)


class Processes:
    """Stands for `cold_runs.do`: each process takes a second more than the last one."""

    def __init__(self, *, failing=(), own_gpu=True):
        self.failing, self.own_gpu, self.tasks = failing, own_gpu, []

    def __call__(self, task, seconds):
        self.tasks.append(task)
        number, fails = len(self.tasks), task.name in self.failing
        task.folder.mkdir(parents=True, exist_ok=True)
        (task.folder / f"{task.name}.log").write_text("started\nerror: it is broken\n" if fails else "")
        # Before the run the device holds 100 MiB, during it 1000 more for each process so far.
        values = {name: np.full(2, np.nan) for name in QUANTITIES}
        values[GPU] = np.array([100.0, 100.0 + 1000.0 * number])
        values[OWN_GPU] = np.array([0.0, 900.0 * number]) if self.own_gpu else values[OWN_GPU]
        write_trace(task.trace_path, Trace(times_s=np.array([-1.0, 0.5]), values=values, duration_s=1.0))
        measured = steps() if "steps" in task.name else {}
        plan = {"backend": "onnxruntime-cuda", "precisions": {"a": "fp16", "b": "fp16"}}
        record = {
            "about": task.about,
            "exit_code": int(fails),
            "stopped": "",
            "wall_s": float(number),
            "peak_mb": 10.0 * number,
            "report": {} if fails else {"cases": [{"plan": plan}]} | measured,
        }
        write_json(task.record_path, record)
        return record


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A benchmark whose data and CT are there."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text("{}")
    scan = Scan(name="512×512×20", path=tmp_path / "ct.nii.gz")
    monkeypatch.setattr(gpu_runs, "phantom_scans", lambda slices, folder: [scan])

    def made(processes, gpu="0"):
        monkeypatch.setattr(gpu_runs, "do", processes)
        said = []
        return GpuRuns(output=tmp_path, gpu=gpu, sizes=SIZES, say=said.append), said

    return made


def test_everything_runs_on_the_gpu_and_is_watched(runs):
    processes = Processes()
    benchmark, said = runs(processes)
    found = benchmark.collect()
    names = [task.name for task in processes.tasks]
    engines = [f"engine-{bundle}-{n}" for bundle in ("embedded", "trained-here") for n in range(3)]
    assert names == ["steps-mine", "train", "export", *engines]
    assert said[0] == "steps-mine: 1.0 s"
    for task in processes.tasks:
        assert task.gpu == "0"
        if task.name != "export":
            assert " --device cuda" in " ".join(task.command)
    assert processes.tasks[0].command[-2:] == ["--set", "label_set=flare23"]
    assert (found["gpu_measured"], found["steps"][0]["patches_per_s"]) == (True, 5.0)


def test_figures_of_the_engine_are_medians(runs):
    """The embedded bundle's runs are processes 4, 5 and 6."""
    embedded = runs(Processes())[0].collect()["engine"][0]
    assert (embedded["wall_s"], embedded["host_peak_mb"], embedded["runs"]) == (5.0, 50.0, 3)
    assert embedded["gpu_peak_mb"] == 4500.0
    assert embedded["gpu_mb_s"] == pytest.approx(5100 * 1.0)
    assert (embedded["backend"], embedded["precisions"]) == ("onnxruntime-cuda", ["fp16"])


def test_memory_that_was_added_counts_where_the_driver_does_not_say_whose_it_is(runs):
    assert runs(Processes(own_gpu=False))[0].collect()["engine"][0]["gpu_peak_mb"] == 5000.0


def test_what_failed_says_why_and_the_rest_goes_on(runs):
    benchmark, said = runs(Processes(failing=("steps-mine", "export")))
    found = benchmark.collect()
    assert found["steps"] == [{"recipe": "mine", "wall_s": 1.0, "failed": "it is broken"}]
    assert found["training"]["export"]["failed"] == "it is broken"
    # There is no bundle to run.
    assert [entry["bundle"] for entry in found["engine"]] == ["embedded"]
    assert said[0] == "steps-mine: it is broken"


def test_on_a_cpu_no_gpu_is_watched(runs):
    processes = Processes()
    found = runs(processes, gpu=None)[0].collect()
    assert {task.gpu for task in processes.tasks} == {None}
    assert "cpu" in processes.tasks[0].command
    assert (found["gpu_measured"], found["engine"][0]["gpu_peak_mb"]) == (False, None)


def test_training_starts_anew_unless_it_ended_well_at_this_revision(runs, tmp_path):
    left = tmp_path / "trained" / "run" / "last.safetensors"
    left.parent.mkdir(parents=True)
    left.touch()
    benchmark, _ = runs(Processes())
    benchmark.collect()
    assert not left.exists()
    left.parent.mkdir()
    left.touch()
    benchmark.collect()
    assert left.exists()


def test_phantoms_that_cannot_be_drawn_are_told(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stderr="a\nerror: torch is not installed\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    benchmark = GpuRuns(output=tmp_path, gpu=None, sizes=SIZES, say=lambda _: None)
    with pytest.raises(JudgingError, match=r"torch is not installed.*make training"):
        benchmark.collect()


@pytest.mark.parametrize("sizes", [gpu_runs.FULL, SMALL])
def test_recipes_that_are_measured_exist(sizes):
    folder = Path(gpu_runs.ROOT) / "training" / "recipes" / "published"
    assert all((folder / f"{recipe}.yaml").is_file() for recipe in sizes.recipes)
    assert sizes.trained in sizes.recipes
