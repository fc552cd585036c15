"""What is said of a stage's memory beside its plan."""

from training.distributed.stage_meter import beside_plan


def test_a_plan_that_was_far_too_low_is_explained():
    assert beside_plan(16, 11) == "planned 11"
    assert beside_plan(44, 11).startswith("planned 11, without what threads and libraries take")
