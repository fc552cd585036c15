"""What differs between two recipes is told by its field and both values."""

import pytest

from tests.training.tiny import tiny_recipe
from training.runs.differences import first_difference


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"stopping": {"kind": "fixed_steps", "steps": 40}}, "stopping.steps 8, now 40"),
        ({"patch_zyx": [16, 32, 32]}, "patch_zyx[1] 16, now 32"),
        ({"ema": {"decay": 0.5}}, "ema none, now {'decay': 0.5}"),
        ({"name": "x" * 99}, f"name tiny, now {'x' * 59}…"),
        ({"curriculum": [{"epochs": 1, "patch_zyx": [8, 8, 8]}]}, "curriculum [], now [{'"),
    ],
)
def test_the_first_field_that_differs(fields, said):
    fields = {"stopping": {"kind": "fixed_steps", "steps": 8}, **fields}
    if "curriculum" in fields:
        fields["stopping"] = {"kind": "epochs", "epochs": 1}
        before = tiny_recipe(stopping=fields["stopping"])
    else:
        before = tiny_recipe()
    found = first_difference(before, tiny_recipe(**fields), "")
    assert found.startswith(said)
    assert bool(found) == bool(said)


NUMBERED = tuple(f"case{number}" for number in range(9))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (("a", "b"), ("a", "c"), "cases now 1 more: c; 1 fewer: b"),
        (("a", "b"), ("a",), "cases now 1 fewer: b"),
        (("a",), ("a", "b"), "cases now 1 more: b"),
        (("a", "b"), ("b", "a"), "cases now in another order"),
        ((), NUMBERED[:4], "cases now 4 more: case0, case1, case2, case3"),
        (NUMBERED, NUMBERED[8:], "cases now 8 fewer: case0, case1, case2 and 5 others"),
        (NUMBERED, (*NUMBERED[:4], *NUMBERED[5:]), "cases now 1 fewer: case4"),
    ],
)
def test_of_names_it_is_told_which_are_more_and_which_fewer(before, now, said):
    assert first_difference(before, now, "cases") == said
    assert first_difference(before, now, "") == said.removeprefix("cases ")


def test_the_name_of_a_label_set_is_no_difference():
    """It may be that of a folder, which may be called something else tomorrow."""
    before = tiny_recipe(label_set={"name": "own", "ids": {"liver": 1}})
    renamed = tiny_recipe(label_set={"name": "my_cts", "ids": {"liver": 1}})
    other = tiny_recipe(label_set={"name": "my_cts", "ids": {"liver": 2}})
    assert first_difference(before, renamed, "") == ""
    assert first_difference(before, other, "") == "label_set.ids.liver 1, now 2"
