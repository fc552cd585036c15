"""Where the time of a step goes, with a clock that can be read by hand."""

import itertools
import time

import pytest
import torch

from tests.training.tiny import tiny_recipe
from training.comparison import measured_steps
from training.comparison.measured_steps import PARTS, MeasuredSteps, table, time_steps
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.runs.checkpoints import RunInfo
from training.runs.run import start_run
from training.runs.step_times import RunningClock

CPU = torch.device("cpu")
SECONDS = {"wait": 0.5, "augment": 0.0, "forward": 1.0, "loss": 0.25, "backward": 2.0, "update": 0.25}


def test_a_step_is_the_sum_of_its_parts():
    times = MeasuredSteps(steps=9, patches=8, seconds=SECONDS, cpu_s=8.0, host_peak_mb=1.0, gpu_peak_mb=None)
    assert (times.step_s, times.patches_per_s) == (4.0, 2.0)


@pytest.mark.parametrize(("gpu_peak_mb", "memory"), [(None, "| 1234 |"), (99.6, "| 1234 | 100 |")])
def test_the_table_has_a_row_and_memory_of_the_device(gpu_peak_mb, memory):
    times = MeasuredSteps(
        steps=9, patches=8, seconds=SECONDS, cpu_s=8.0, host_peak_mb=1234.4, gpu_peak_mb=gpu_peak_mb
    )
    header, _, row = table({"recipe": "mine"}, times).splitlines()
    assert row == f"| mine | 4.000 | 2 | 8.000 | 0.500 | 0.000 | 1.000 | 0.250 | 2.000 | 0.250 {memory}"
    assert header.startswith("| recipe | s a step | patches/s | CPU s | wait s | augment s |")
    assert header.count("|") == row.count("|")


def test_steps_of_the_first_stage_are_measured_without_the_first_ones(cubes, tmp_path, monkeypatch):
    """The clock moves on by 1 s whenever it is read: around the wait, at the start and at each mark."""
    recipe = tiny_recipe(
        curriculum=[
            {"patch_zyx": [8, 8, 8], "batch_size": 2, "epochs": 1},
            {"patch_zyx": [16, 16, 16], "batch_size": 1, "epochs": 9},
        ]
    )
    cases = labelled_cases(cubes)
    info = RunInfo(recipe=recipe, step=0, seed=0, precision="fp32", cases=tuple(c.name for c in cases))
    run = start_run(info, CPU, tmp_path)
    monkeypatch.setattr(time, "perf_counter", itertools.count(0.0).__next__)
    clock = RunningClock(CPU, time.perf_counter)
    monkeypatch.setattr(measured_steps, "RunningClock", lambda device: clock)
    times = time_steps(run, CaseStore(cases, recipe, 100), steps=3, warm_up=2, workers=1)
    assert tuple(times.seconds) == PARTS
    assert times.seconds == dict.fromkeys(PARTS, 1.0)
    assert (times.steps, times.patches) == (3, 2)
    assert 0 < times.cpu_s < 60
    assert times.host_peak_mb > 100
    assert times.gpu_peak_mb is None
    assert run.updates == 5
