"""Stages, epochs and learning rates, worked out by hand."""

import math

import pytest

from tests.training.tiny import tiny_recipe
from training.runs.timetable import make_timetable

CONSTANT = {"kind": "constant"}
CURRICULUM = [
    {"patch_zyx": [8, 8, 8], "batch_size": 4, "epochs": 3},
    {"patch_zyx": [16, 16, 16], "batch_size": 2, "epochs": 2, "learning_rate": 0.5},
    {"patch_zyx": "whole", "epochs": 1},
]
STAGED = tiny_recipe(curriculum=CURRICULUM, stopping={"kind": "epochs", "epochs": 99}, schedule=CONSTANT)


def test_an_epoch_of_cases_is_rounded_up_to_whole_steps():
    recipe = tiny_recipe(stopping={"kind": "epochs", "epochs": 3}, sampling={"batch_size": 4})
    timetable = make_timetable(recipe, cases=10)
    assert timetable.steps == 9
    assert timetable.stages[0].epoch_steps == 3


def test_an_epoch_of_iterations_does_not_depend_on_the_cases():
    sampling = {"epoch": {"kind": "iterations", "iterations": 250}}
    recipe = tiny_recipe(stopping={"kind": "epochs", "epochs": 1000}, sampling=sampling)
    assert make_timetable(recipe, cases=7).steps == 250_000


def test_fixed_steps_are_one_stage():
    (stage,) = make_timetable(tiny_recipe(), cases=2).stages
    assert (stage.first_step, stage.end_step, stage.batch_size, stage.whole) == (0, 8, 1, False)


def test_stages_of_a_curriculum_follow_one_another():
    stages = make_timetable(STAGED, cases=10).stages
    # Epochs of ⌈10/4⌉ = 3, 10/2 = 5 and 10 steps.
    assert [(stage.first_step, stage.end_step) for stage in stages] == [(0, 9), (9, 19), (19, 29)]
    assert [stage.batch_size for stage in stages] == [4, 2, 1]
    assert [stage.recipe.patch_zyx[0] for stage in stages] == [8, 16, 16]
    assert [stage.whole for stage in stages] == [False, False, True]


def test_a_stage_may_have_a_learning_rate_of_its_own():
    timetable = make_timetable(STAGED, cases=10)
    assert [timetable.rate_of(step) for step in (0, 8, 9, 18, 19, 28)] == [0.01, 0.01, 0.5, 0.5, 0.01, 0.01]


SHRINKING = [{"patch_zyx": [8, 8, 8], "batch_size": size, "epochs": 2} for size in (5, 1)]
"""Two epochs of two steps, then two of ten, where there are ten cases."""


def rates_of(cases=10, **fields):
    timetable = make_timetable(tiny_recipe(**fields), cases=cases)
    return [timetable.rate_of(step) for step in range(timetable.steps)]


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "polynomial", "power": 1},
        {"kind": "warmup_cosine", "warmup_epochs": 1},
        {"kind": "warmup_cosine", "warmup_steps": 2},
        {"kind": "constant"},
    ],
    ids=lambda schedule: "-".join(map(str, schedule.values())),
)
@pytest.mark.parametrize(
    "stages", [SHRINKING, SHRINKING[::-1]], ids=["short epochs first", "long epochs first"]
)
def test_the_rate_never_rises_from_stage_to_stage(schedule, stages):
    stopping = {"kind": "epochs", "epochs": 4}
    rates = rates_of(curriculum=stages, schedule=schedule, stopping=stopping)
    assert len(rates) == 24
    after = rates[rates.index(max(rates)) :]
    assert after == sorted(after, reverse=True)


def test_a_polynomial_counts_the_epochs_of_its_own_stage():
    schedule, stopping = {"kind": "polynomial", "power": 1}, {"kind": "epochs", "epochs": 4}
    rates = rates_of(curriculum=SHRINKING, schedule=schedule, stopping=stopping)
    # Epochs begin with steps 0, 2, 4 and 14 of 24.
    by_hand = [1.0] * 2 + [22 / 24] * 2 + [20 / 24] * 10 + [10 / 24] * 10
    assert rates == pytest.approx([0.01 * share for share in by_hand])


def test_warm_up_epochs_are_those_of_the_first_stage():
    schedule, stopping = {"kind": "warmup_cosine", "warmup_epochs": 2}, {"kind": "epochs", "epochs": 4}
    rates = rates_of(curriculum=SHRINKING, schedule=schedule, stopping=stopping)
    assert rates[:5] == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
    converging = {"kind": "converged", "epochs": 4, "window_epochs": 3, "anneal_epochs": 1}
    rates = rates_of(curriculum=SHRINKING, schedule=schedule, stopping=converging)
    # The second stage waits for convergence at its peak, over its first ten steps, then decays.
    assert rates[4:15] == pytest.approx([0.01] * 11)


def test_rates_of_one_stage_are_those_that_older_runs_were_begun_with():
    """Four epochs of three steps, the warm-up one and a half of them: four steps, since 4.5 rounds to even.

    To the last bit: a run that is resumed goes on as it began.
    """
    stopping, sampling = {"kind": "epochs", "epochs": 4}, {"batch_size": 4}
    polynomial = rates_of(schedule={"kind": "polynomial"}, stopping=stopping, sampling=sampling)
    assert polynomial == [0.01 * (1 - epoch * 3 / 12) ** 0.9 for epoch in range(4) for _ in range(3)]
    cosine = rates_of(
        schedule={"kind": "warmup_cosine", "warmup_epochs": 1.5}, stopping=stopping, sampling=sampling
    )
    decaying = [0.01 * ((1 + math.cos(math.pi * (step / 8))) / 2) for step in range(8)]
    assert cosine == [0.01 * (step + 1) / 4 for step in range(4)] + decaying


@pytest.mark.parametrize(
    ("stopping", "ends"),
    [
        ({"kind": "fixed_steps", "steps": 12}, [9, 12]),
        ({"kind": "epochs", "epochs": 4}, [9, 14]),
        ({"kind": "epochs", "epochs": 3}, [9]),
    ],
)
def test_a_run_may_end_within_its_curriculum(stopping, ends):
    recipe = tiny_recipe(curriculum=CURRICULUM, stopping=stopping)
    assert [stage.end_step for stage in make_timetable(recipe, cases=10).stages] == ends


CONVERGING = tiny_recipe(
    stopping={"kind": "converged", "epochs": 10, "window_epochs": 3, "anneal_epochs": 4},
    schedule={"kind": "polynomial", "power": 1},
)


def test_a_run_that_does_not_converge_anneals_at_the_end():
    timetable = make_timetable(CONVERGING, cases=2)
    assert timetable.steps == 20
    assert timetable.stages[0].anneal_step == 12
    assert [timetable.rate_of(step) for step in (0, 11, 12)] == [0.01, 0.01, 0.01]
    # Four epochs of two steps, from 1 down by a quarter each.
    assert [timetable.rate_of(step) for step in (14, 16, 18, 19)] == pytest.approx(
        [0.0075, 0.005, 0.0025, 0.0025]
    )


def test_a_run_that_converged_anneals_and_ends():
    timetable = make_timetable(CONVERGING, cases=2, anneal_steps=[6])
    assert timetable.steps == 6 + 4 * 2
    assert [timetable.rate_of(step) for step in (5, 6, 8)] == pytest.approx([0.01, 0.01, 0.0075])


def test_a_stage_that_converged_gives_way_to_the_next():
    recipe = tiny_recipe(curriculum=CURRICULUM[:2], stopping={**CONVERGING_STOPPING, "epochs": 50})
    stages = make_timetable(recipe, cases=4, anneal_steps=[1]).stages
    # One step an epoch in the first stage, two in the second.
    assert [(stage.first_step, stage.anneal_step, stage.end_step) for stage in stages] == [
        (0, 1, 2),
        (2, 4, 6),
    ]


def test_a_stage_that_is_no_longer_than_its_decay_anneals_from_its_first_step():
    stopping = {**CONVERGING_STOPPING, "epochs": 50, "anneal_epochs": 2}
    recipe = tiny_recipe(
        curriculum=CURRICULUM, stopping=stopping, schedule={"kind": "polynomial", "power": 1}
    )
    timetable = make_timetable(recipe, cases=10)
    # Three epochs of 3 steps, two of 5, one of 10; the decay takes two.
    assert [(stage.first_step, stage.anneal_step, stage.end_step) for stage in timetable.stages] == [
        (0, 3, 9),
        (9, 9, 19),
        (19, 19, 29),
    ]
    assert [stage.anneals_at_once for stage in timetable.stages] == [False, True, True]
    # The second has a peak of its own, and two epochs; the third has one.
    assert [timetable.rate_of(step) for step in (9, 13, 14, 18)] == [0.5, 0.5, 0.25, 0.25]
    assert {timetable.rate_of(step) for step in range(19, 29)} == {0.01}


@pytest.mark.parametrize(
    ("warm_up_epochs", "by_hand"),
    [
        (0, [1, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]),
        (2, [0.25, 0.5, 0.75, 1, 1, 0.854, 0.5, 0.146]),
        (4, [1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1]),
        (5, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]),
    ],
)
def test_a_short_first_stage_warms_up_before_it_decays(warm_up_epochs, by_hand):
    """Four epochs of two steps, where the decay takes five: it has what the warm-up leaves.

    (1 + cos(π·k/8)) / 2 or (1 + cos(π·k/4)) / 2.
    """
    schedule = {"kind": "warmup_cosine", "warmup_epochs": warm_up_epochs}
    stopping = {"kind": "converged", "epochs": 50, "window_epochs": 3, "anneal_epochs": 5}
    stages = [{"patch_zyx": [8, 8, 8], "batch_size": 5, "epochs": epochs} for epochs in (4, 20)]
    rates = rates_of(curriculum=stages, schedule=schedule, stopping=stopping)
    assert rates[:8] == pytest.approx([0.01 * share for share in by_hand], abs=1e-5)
    # Where the warm-up is longer than the stage, the next one ends it.
    assert rates[8:10] == pytest.approx([0.009, 0.01] if warm_up_epochs == 5 else [0.01, 0.01])


CONVERGING_STOPPING = {"kind": "converged", "window_epochs": 3, "anneal_epochs": 1}


def test_validation_by_steps_by_epochs_and_at_the_end():
    by_steps = make_timetable(tiny_recipe(validation={"every_steps": 3}), cases=2)
    assert [done for done in range(1, 9) if by_steps.validates_after(done)] == [3, 6, 8]
    by_epochs = make_timetable(tiny_recipe(validation={"every_epochs": 1}), cases=2)
    assert [done for done in range(1, 9) if by_epochs.validates_after(done)] == [2, 4, 6, 8]


def test_what_was_found_stands_for_auto():
    recipe = tiny_recipe(stopping={"kind": "epochs", "epochs": 2}, sampling={"batch_size": "auto"})
    timetable = make_timetable(recipe, cases=10, batch_size=5)
    assert (timetable.steps, timetable.stages[0].batch_size) == (4, 5)


@pytest.mark.parametrize(
    ("rule", "stated", "peak"), [("none", 2, 0.01), ("linear", 2, 0.04), ("square_root", 2, 0.02)]
)
def test_the_learning_rate_follows_a_batch_size_that_was_found(rule, stated, peak):
    optimizer = {"kind": "adamw", "learning_rate": 0.01, "batch_rule": rule, "stated_batch_size": stated}
    recipe = tiny_recipe(optimizer=optimizer, sampling={"batch_size": "auto"})
    assert make_timetable(recipe, cases=10, batch_size=8).stages[0].peak == pytest.approx(peak)
    stated_size = tiny_recipe(optimizer=optimizer, sampling={"batch_size": 8})
    assert make_timetable(stated_size, cases=10).stages[0].peak == 0.01
