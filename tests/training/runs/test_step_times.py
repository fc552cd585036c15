"""How long each part of a step takes, by clocks that the test moves."""

import itertools
import json

import pytest
import torch

from tests.training.runs.test_step import batch_of, steps_of
from training.runs.step import training_step
from training.runs.step_times import RunningClock, StepTimes
from training.runs.watching import PartTime, StepDone


def of_values(*values):
    return iter(values).__next__


def done(step, **parts):
    return StepDone(step=step, steps=9, loss=0.5, learning_rate=0.1, patches=2, waited_s=0.25, parts=parts)


def test_a_part_takes_the_time_since_the_last_mark_and_parts_of_one_name_add_up():
    clock = RunningClock(
        torch.device("cpu"), of_values(0.0, 1.0, 3.0, 7.0, 100.0, 101.0), of_values(0, 1, 2, 3, 50, 50)
    )
    clock.start()
    for part in ("forward", "loss", "forward"):
        clock.mark(part)
    assert clock.taken == {"forward": (5.0, 2), "loss": (2.0, 1)}
    clock.start()
    clock.mark("loss")
    assert clock.taken == {"loss": (1.0, 0)}


def test_each_step_counts_from_the_end_of_the_one_before(tmp_path):
    path = tmp_path / "times.json"
    clocks = of_values(10.0, 12.0, 13.0), of_values(1.0, 4.0, 5.5), of_values(1.0, 2.5, 3.0)
    watcher = StepTimes(path, "bf16", clocks)
    for step in (1, 2, 3):
        watcher.step(done(step, forward=PartTime(step / 8, step / 16)))
    watcher.close()
    wait = {"wall_s": 0.25, "cpu_s": 0.0}
    forward = [{"wall_s": 0.25, "cpu_s": 0.125}, {"wall_s": 0.375, "cpu_s": 0.1875}]
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "precision": "bf16",
        "patches": 2,
        "steps": [
            {"wall_s": 2.0, "cpu_s": 3.0, "thread_s": 1.5, "parts": {"wait": wait, "forward": forward[0]}},
            {"wall_s": 1.0, "cpu_s": 1.5, "thread_s": 0.5, "parts": {"wait": wait, "forward": forward[1]}},
        ],
    }


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_marks_all_its_parts(tmp_path, parts):
    optimizer = {"kind": "sgd", "learning_rate": 0.1, "accumulate_steps": parts}
    _, run = steps_of(tmp_path, count=0, size=2, optimizer=optimizer)
    run.phases = RunningClock(torch.device("cpu"), itertools.count().__next__)
    training_step(run, 0, batch_of(2))
    # Each mark is a second after the one before.
    assert {name: part.wall_s for name, part in run.phases.taken.items()} == {
        "augment": 1,
        "forward": parts,
        "loss": parts,
        "backward": parts,
        "update": 1,
    }
