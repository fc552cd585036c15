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


def test_names_of_cases():
    assert first_difference(("a", "b"), ("a", "c"), "cases") == "cases[1] b, now c"
    assert first_difference(("a", "b"), ("a",), "cases") == "cases ['a', 'b'], now ['a']"
