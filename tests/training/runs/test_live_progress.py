"""What a person sees of a run, by a clock that the test moves."""

import io
import logging
import sys

import pytest

from training.runs.live_progress import MORE_CASES, Progress
from training.runs.watching import StepDone, Validated

SECOND_PATCHES = 2


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run_for(clock, progress, steps, seconds=1.0, waited_s=0.0, of=100):
    for step in steps:
        clock.now += seconds
        progress.step(
            StepDone(
                step=step, steps=of, loss=0.5, learning_rate=0.1, patches=SECOND_PATCHES, waited_s=waited_s
            )
        )


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
