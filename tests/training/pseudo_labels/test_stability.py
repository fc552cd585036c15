"""u of a few voxels, by hand."""

import csv
import math

import numpy as np
import pytest

from training.pseudo_labels.stability import change, instability
from training.pseudo_labels.stability_report import draw_histogram, write_table


def row(*labels):
    return np.array([[labels]], np.uint8)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (row(1, 1, 0, 0), row(1, 1, 0, 0), 0.0),
        (row(1, 1, 0, 0), row(1, 1, 1, 1), 2 / 4),
        (row(1, 1, 1, 1), row(1, 1, 0, 0), 2 / 2),  # Of the later round's foreground.
        (row(1, 2, 0, 0), row(2, 1, 0, 0), 2 / 2),  # Another organ is another label.
        (row(1, 1, 1, 1), row(0, 0, 0, 1), 3 / 1),
        (row(1, 0, 0, 0), row(0, 0, 0, 0), math.inf),
        (row(0, 0, 0, 0), row(0, 0, 0, 0), math.inf),
    ],
)
def test_change_is_a_share_of_the_later_foreground(before, after, expected):
    assert change(after, before) == expected


def test_u_of_three_rounds_is_the_mean_of_two_changes():
    first, second, third = row(1, 1, 1, 1), row(1, 1, 1, 2), row(1, 1, 2, 2)
    changes = [change(second, first), change(third, second)]
    assert changes == [1 / 4, 1 / 4]
    assert instability(changes) == 1 / 2 * (1 / 4 + 1 / 4)


def test_the_table_shows_the_least_stable_case_first(tmp_path):
    changes = {"a": (0.0, 0.2), "b": (0.5, 0.5), "c": (math.inf, 0.0), "d": (0.1, 0.11)}
    write_table(changes, 0.1, tmp_path / "stability.csv")
    with (tmp_path / "stability.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["case", "u", "kept", "change_2", "change_3"],
        ["c", "inf", "no", "inf", "0.000000"],
        ["b", "0.500000", "no", "0.500000", "0.500000"],
        ["d", "0.105000", "no", "0.100000", "0.110000"],
        ["a", "0.100000", "yes", "0.000000", "0.200000"],
    ]


@pytest.mark.parametrize("values", [[0.0], [0.05, 0.1, 0.2], [0.02, 7.0, math.inf], [math.inf]])
@pytest.mark.parametrize("threshold", [0.1, 0.0])
def test_the_histogram_is_drawn_whatever_u_is(values, threshold, tmp_path):
    draw_histogram(values, threshold, tmp_path / "stability.png")
    assert (tmp_path / "stability.png").read_bytes().startswith(b"\x89PNG")
