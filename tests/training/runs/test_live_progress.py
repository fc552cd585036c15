"""What a person sees of a run, by a clock that the test moves."""

import io
import logging
import os
import sys
from datetime import timedelta

import pytest

from training.runs.live_progress import MORE_CASES, Progress
from training.runs.watching import StepDone, Validated

SECOND_PATCHES = 2


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run_for(clock, progress, steps, seconds=1.0, waited_s=0.0, of=100, **more):
    for step in steps:
        clock.now += seconds
        told = {"loss": 0.5, "learning_rate": 0.1, "patches": SECOND_PATCHES, "waited_s": waited_s, **more}
        progress.step(StepDone(step=step, steps=of, **told))


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="training")
    return lambda: caplog.messages


def test_a_line_after_the_first_step_then_every_half_minute_then_at_the_end(said):
    clock = Clock()
    progress = Progress(0, 100, clock, terminal=False)
    run_for(clock, progress, range(1, 101))
    progress.close()
    assert [line.split(":")[0] for line in said()] == [
        "step 1/100",
        "step 31/100",
        "step 61/100",
        "step 91/100",
        "step 100/100",
    ]
    assert said()[1] == (
        "step 31/100: loss 0.5000, 2 patches/s, 0:01:09 left, 0% of the time waited for data"
    )


def test_a_resumed_run_counts_from_where_it_is(said):
    clock = Clock()
    progress = Progress(40, 100, clock, terminal=False)
    run_for(clock, progress, [41], seconds=2)
    progress.close()
    assert said() == ["step 41/100: loss 0.5000, 1 patches/s, 0:01:58 left, 0% of the time waited for data"]


def test_dice_is_in_the_lines_after_a_validation(said):
    clock = Clock()
    progress = Progress(0, 3, clock, terminal=False)
    progress.validation(Validated(step=1, dice={"liver": 0.75}, mean_dice=0.75, is_best=True))
    run_for(clock, progress, [3], of=3)
    progress.close()
    assert said()[0] == "step 1: validation Dice 0.7500, the best so far (liver 0.750)"
    assert "loss 0.5000, Dice 0.750, 2 patches/s" in said()[1]


@pytest.mark.parametrize(("waited_s", "warns"), [(0.09, False), (0.5, True)])
def test_it_warns_once_when_the_device_waits_for_data(said, waited_s, warns):
    clock = Clock()
    progress = Progress(0, 100, clock, terminal=False)
    run_for(clock, progress, range(1, 101), waited_s=waited_s)
    progress.close()
    warnings = [line for line in said() if line.startswith("the device waited")]
    assert len(warnings) == warns
    if warns:
        assert warnings[0].startswith(
            "the device waited for data in 50 % of the time (more than 10 %): raise --workers"
        )
        assert "50% of the time waited for data" in said()[1]


def test_that_the_first_batch_is_waited_for_is_no_reason_to_warn(said):
    clock = Clock()
    progress = Progress(0, 2, clock, terminal=False)
    run_for(clock, progress, [1], waited_s=1.0, of=2)
    run_for(clock, progress, [2], of=2)
    progress.close()
    assert not any(line.startswith("the device waited") for line in said())


def test_where_cases_are_made_for_the_run_the_remedy_is_another(said):
    clock = Clock()
    progress = Progress(0, 100, clock, terminal=False, remedy=MORE_CASES)
    run_for(clock, progress, range(1, 41), waited_s=0.5)
    progress.close()
    (warning,) = [line for line in said() if line.startswith("the device waited")]
    assert ": raise --case-makers, or --workers, or in a new run synthesis." in warning


def test_a_terminal_has_a_bar_and_no_lines(said, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    clock = Clock()
    progress = Progress(0, 2, clock, terminal=True)
    run_for(clock, progress, [1, 2], of=2)
    progress.close()
    assert said() == []
    shown = screen.getvalue()
    assert "2/2" in shown
    assert "loss 0.5000, " in shown
    assert "patches/s" in shown


def test_a_run_that_converged_has_fewer_steps_left(said):
    clock = Clock()
    progress = Progress(0, 1000, clock, terminal=False)
    run_for(clock, progress, range(1, 32), of=1000)
    run_for(clock, progress, range(32, 41), of=40)
    progress.close()
    assert [line.split(":")[0] for line in said()] == ["step 1/1000", "step 31/1000", "step 40/40"]


def test_the_loss_of_a_line_is_the_mean_since_the_line_before(said):
    clock = Clock()
    progress = Progress(0, 100, clock, terminal=False)
    run_for(clock, progress, [1], loss=9.0)
    run_for(clock, progress, range(2, 17), loss=1.0)
    run_for(clock, progress, range(17, 32), loss=2.0)
    progress.close()
    assert [line.split(",")[0] for line in said()] == ["step 1/100: loss 9.0000", "step 31/100: loss 1.5000"]


def test_a_validation_takes_no_time_of_training_and_its_share_of_what_is_left(said):
    """A first step of 100 s, then 29 of a second each, 31 s of validation, 30 more steps."""
    clock = Clock()
    progress = Progress(0, 160, clock, terminal=False)
    run_for(clock, progress, [1], seconds=100.0, of=160)
    run_for(clock, progress, range(2, 31), of=160)
    progress.validating(0, 4)
    for done in range(1, 5):
        clock.now += 7.75
        progress.validating(done, 4)
    progress.validation(Validated(step=30, dice={"liver": 0.5}, mean_dice=0.5, is_best=True))
    run_for(clock, progress, range(31, 61), of=160)
    progress.close()
    lines = [line for line in said() if line.startswith("step") and "loss" in line]
    # The 30 steps after the first one took 29 s + 31 s + 1 s; 129 are left.
    assert lines[1].startswith("step 31/160: loss 0.5000, Dice 0.500, 2 patches/s, ")
    assert f"{timedelta(seconds=round(129 * 61 / 30))} left" in lines[1]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_validation_says_how_far_it_is(said, terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = Clock()
    progress = Progress(0, 2, clock, terminal=terminal)
    progress.validating(0, 5)
    for done in range(1, 6):
        clock.now += 16.0
        progress.validating(done, 5)
    progress.close()
    assert said() == ["validating: 2 of 5 cases", "validating: 4 of 5 cases"]


def test_what_a_gpu_held_is_told_where_there_is_one(said):
    clock = Clock()
    progress = Progress(0, 2, clock, terminal=False)
    run_for(clock, progress, [1, 2], of=2, gpu_peak_mb=1234.4)
    progress.close()
    assert "2 patches/s, 1234 MiB of GPU memory at most, " in said()[0]


def test_a_terminal_of_no_size_has_lines_and_no_bar(said, monkeypatch):
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb", buffering=0), os.fdopen(follower, "w") as terminal:
        assert terminal.isatty()
        monkeypatch.setattr(sys, "stderr", terminal)
        clock = Clock()
        progress = Progress(0, 2, clock)
        run_for(clock, progress, [1, 2], of=2)
        progress.close()
    assert [line.split(":")[0] for line in said()] == ["step 1/2", "step 2/2"]
