"""Sides of parts that are drawn as steps along the line from right to left, in mm; thickness in ml a bin."""

import numpy as np
import pytest

from inference.postprocessing.sides import ADRENAL, CENTRES_MM, KIDNEY, Part, Side, assign_sides, gap_middle

LEFT, RIGHT, CUT = Side.LEFT, Side.RIGHT, Side.CUT


def part(*steps: tuple[float, float, float], foot_mm: float = 0.0, head_mm: float = 90.0) -> Part:
    """A part of so many ml a bin of 2 mm between two lateral positions, step by step."""
    profile_ml = np.zeros(CENTRES_MM.size)
    for right_mm, left_mm, ml in steps:
        profile_ml[(right_mm < CENTRES_MM) & (left_mm > CENTRES_MM)] = ml
    return Part(profile_mm3=1000.0 * profile_ml, foot_mm=foot_mm, head_mm=head_mm)


@pytest.mark.parametrize(
    ("steps", "side"),
    [
        pytest.param([(-70, 0, 10), (0, 12, 1)], RIGHT, id="a bulge: 2 % of it, 6 mm beyond the middle"),
        pytest.param([(-70, -20, 10), (-20, 30, 1), (30, 44, 4)], CUT, id="an eighth lies 27 mm beyond"),
        pytest.param([(-40, -10, 10), (-10, 10, 4), (10, 26, 10)], CUT, id="a waist of 0.4 of either lobe"),
        pytest.param([(-40, -10, 10), (-10, 10, 8), (10, 20, 10)], RIGHT, id="one of 0.8 is none"),
    ],
)
def test_a_part_that_reaches_across(steps, side):
    assert assign_sides([part(*steps)], KIDNEY)[1] == [side]


@pytest.mark.parametrize(
    ("parts", "sides"),
    [
        pytest.param(
            [part((40, 80, 10)), part((40, 80, 9), foot_mm=95, head_mm=180)],
            [RIGHT, LEFT], id="both whole, one above the other: the lower one is crossed, also the larger",
        ),
        pytest.param(
            [part((40, 80, 9), foot_mm=95, head_mm=180), part((40, 80, 9))],
            [LEFT, RIGHT], id="or the second",
        ),
        pytest.param(
            [part((30, 60, 10)), part((62, 90, 10), foot_mm=45, head_mm=135)],
            [LEFT, LEFT], id="half of their height alike: side by side, with a cleft",
        ),
        pytest.param(
            [part((40, 80, 10), head_mm=60), part((40, 80, 9), foot_mm=62, head_mm=122)],
            [LEFT, LEFT], id="60 mm high each: two pieces of one",
        ),
        pytest.param(
            [part((40, 80, 0.12)), part((40, 80, 0.11), foot_mm=95, head_mm=180)],
            [LEFT, LEFT], id="of 2.4 and 2.2 ml: crumbs, however high",
        ),
        pytest.param(
            [part((-16, 50, 10), head_mm=60), part((20, 50, 8), foot_mm=62, head_mm=100)],
            [LEFT, LEFT], id="on the middle, a quarter across, and beside it a piece of a third of it",
        ),
        pytest.param(
            [part((-16, 50, 10), head_mm=60), part((20, 70, 9), foot_mm=62, head_mm=100)],
            [RIGHT, LEFT], id="and beside one of two thirds of it",
        ),
    ],
)  # fmt: skip
def test_two_parts_on_one_side(parts, sides):
    assert assign_sides(parts, KIDNEY)[1] == sides


@pytest.mark.parametrize(
    ("parts", "anatomy", "middle_mm"),
    [
        # `aaa....bbb..ccc`: 60 mm between a and b, 32 mm between b and c.
        ([part((-100, -60, 1)), part((0, 40, 1)), part((72, 112, 1))], KIDNEY, -30),
        ([part((-90, -50, 10)), part((30, 50, 6))], KIDNEY, -10),  # a shrunken one of three tenths
        ([part((-90, -50, 10)), part((30, 50, 4))], KIDNEY, None),  # two tenths are a crumb
        ([part((-30, -12, 5)), part((14, 32, 5))], ADRENAL, 1),  # 26 mm between them
        ([part((-30, -12, 5)), part((14, 32, 5))], KIDNEY, None),
        ([part((-30, -12, 5)), part((6, 24, 5))], ADRENAL, None),  # 18 mm
    ],
)
def test_the_middle_of_the_widest_gap(parts, anatomy, middle_mm):
    assert gap_middle(parts, anatomy) == (None if middle_mm is None else pytest.approx(middle_mm))
