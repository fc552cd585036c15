"""Arithmetic of a benchmark, on runs whose figures are round numbers, and its tables in Markdown."""

import math

import numpy as np
import pytest

from eval.benchmark.contestants import BARE, EVEN, OURS, PLAIN, PLAIN_BF16
from eval.benchmark.markdown_table import contestants_table, extras_text, floor_table, ordered, stages_table
from eval.benchmark.results import (
    Agreement,
    Entry,
    agreement,
    compared_with,
    entries,
    ratio,
    stages_of,
    windows_of,
)
from tests.eval.benchmark.made_benchmark import record


def entry(contestant=OURS, wall_s=10.0, scan="big", network="small", **more) -> Entry:
    fields = {
        "runs": 1,
        "cpu_s": 2 * wall_s,
        "peak_mb": 100 * wall_s,
        "others": 0.0,
        "windows": 12,
        "seconds": {},
    }
    return Entry(network=network, scan=scan, contestant=contestant, wall_s=wall_s, **{**fields, **more})


def about(contestant=OURS, repeat=0):
    return {"contestant": contestant, "network": "small", "scan": "big", "scan_bytes": 1, "repeat": repeat}


@pytest.mark.parametrize(
    ("walls", "median"), [([10], 10), ([10, 20], 15), ([30, 10, 20], 20), ([10, 20, 30, 1000], 25)]
)
def test_figures_are_medians(walls, median):
    (found,) = entries([record(about(repeat=i), wall) for i, wall in enumerate(walls)], {}, {})
    assert (found.runs, found.wall_s, found.cpu_s, found.peak_mb) == (
        len(walls),
        median,
        2 * median,
        100 * median,
    )
    assert found.seconds["networks"] == 6.0
    assert found.seconds["start"] == median - 7.5
    assert math.isnan(found.floor_s)


@pytest.mark.parametrize(
    ("contestant", "windows", "floor_s"),
    [(OURS, 12, 12 * 0.5 + 1.5), (BARE, 4, 4 * 0.5 + 1.5), (PLAIN, 12, math.nan), (EVEN, 12, math.nan)],
)
def test_the_floor_is_the_windows_of_networks_that_run_alike_and_reading_and_writing(
    contestant, windows, floor_s
):
    (found,) = entries([record(about(contestant), 20.0, windows=windows)], {"small": 0.5}, {})
    assert found.floor_s == pytest.approx(floor_s, nan_ok=True)
    assert found.windows == windows


@pytest.mark.parametrize(
    ("ends", "runs", "wall_s", "stopped"),
    [
        ([(0, "", 10.0), (1, "", 3.0)], 1, 10.0, ""),
        ([(1, "", 3.0), (2, "", 5.0)], 2, 4.0, "exit code 1"),
        ([(-9, "longer than 5 s", 5.0)], 1, 5.0, "longer than 5 s"),
    ],
)
def test_runs_that_failed_count_only_where_all_did(ends, runs, wall_s, stopped):
    made = [
        record(about(repeat=i), wall, exit_code=code, stopped=why) for i, (code, why, wall) in enumerate(ends)
    ]
    (found,) = entries(made, {}, {})
    assert (found.runs, found.wall_s, found.stopped) == (runs, wall_s, stopped)


@pytest.mark.parametrize(
    ("cases", "stages", "windows"),
    [
        ([], {}, 0),
        (
            [{"seconds": {"read": 1.0, "networks": 4.0}, "windows_run": 3}],
            {"start": 5, "read": 1, "networks": 4},
            3,
        ),
        (
            [{"seconds": {"read": 1.0}, "windows_run": 3}, {"seconds": {"read": 2.0}, "windows_run": 4}],
            {"start": 7, "read": 3},
            7,
        ),
        ([{"seconds": {"load networks": 4.0, "read": 2.0}}], {"start": 8, "read": 2}, 0),
        # Stages that overlap may add up to more than the clock had; nothing is left for the start then.
        (
            [{"seconds": {"read": 8.0, "networks": 9.0}, "windows_run": 1}],
            {"start": 0, "read": 8, "networks": 9},
            1,
        ),
    ],
)
def test_stages_and_windows_are_summed_over_the_cases_of_a_run(cases, stages, windows):
    made = {"wall_s": 10.0, "report": {"cases": cases}}
    assert stages_of(made) == stages
    assert windows_of(made) == windows


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (entry(PLAIN, 40.0), 4.0),
        (entry(PLAIN, 5.0), 0.5),
        (entry(PLAIN, 40.0, stopped="out of memory"), math.nan),
        (entry(PLAIN, 40.0, scan="another"), math.nan),
        (entry(PLAIN, 40.0, network="another"), math.nan),
    ],
)
def test_ratios_are_to_predict_on_the_same_scan_and_network(other, expected):
    for what in ("wall_s", "cpu_s", "peak_mb"):
        assert ratio([entry(), other], other, what) == pytest.approx(expected, nan_ok=True)
    assert math.isnan(ratio([entry(stopped="failed"), entry(PLAIN)], entry(PLAIN), "wall_s"))


@pytest.mark.parametrize(
    ("one", "other", "right_of", "dice", "count"),
    [
        ([1, 1, 2], [1, 1, 2], {}, 1.0, 2),
        ([1, 1, 0], [1, 0, 0], {}, 2 / 3, 1),
        ([1, 1, 0, 0], [0, 0, 5, 5], {}, 0.0, 2),
        ([3, 4], [3, 3], {4: 3}, 1.0, 1),
        ([0, 0], [7, 0], {}, 0.0, 1),
    ],
)
def test_agreement_is_the_mean_dice(one, other, right_of, dice, count):
    first, second = (np.array(labels, np.uint8)[None, None] for labels in (one, other))
    found = agreement(first, second, right_of)
    assert (found.dice, found.labels) == (pytest.approx(dice), count)
    assert agreement(second, first, right_of) == found


@pytest.mark.parametrize(
    ("contestant", "others"),
    [(OURS, (PLAIN, EVEN)), (BARE, (PLAIN, EVEN)), (PLAIN, ()), (EVEN, (PLAIN,)), (PLAIN_BF16, (PLAIN,))],
)
def test_who_is_compared_with_whom(contestant, others):
    assert compared_with(contestant) == others


def test_rows_stand_by_network_then_scan_then_contestant():
    made = [
        entry(PLAIN, scan="a"),
        entry(PLAIN, scan="b"),
        entry(OURS, scan="b"),
        entry(OURS, scan="a", network="x"),
    ]
    assert [(each.network, each.scan, each.contestant) for each in ordered(made)] == [
        ("small", "a", PLAIN), ("small", "b", OURS), ("small", "b", PLAIN), ("x", "a", OURS),
    ]  # fmt: skip


@pytest.mark.parametrize("table", [contestants_table, floor_table, stages_table])
def test_markdown_rows_have_as_many_cells_as_the_header(table):
    made = [
        entry(floor_s=5.0, seconds={"read": 1.0, "write": 0.5}, agreement={PLAIN: Agreement(0.5, 2)}),
        entry(PLAIN, 40.0, seconds={"read": 2.0}),
        entry(EVEN, 40.0, stopped="out of memory"),
    ]
    lines = table(made).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[1].replace("|", "").split() == ["---"] * (lines[0].count("|") - 1)
    assert table([]) == ""


def test_the_floor_by_hand():
    made = [entry(floor_s=5.0, wall_s=8.0, seconds={"read": 1.0, "write": 0.5}), entry(PLAIN)]
    assert floor_table(made).splitlines()[2:] == [
        "| small | big | predict.py | 12 | 3.50 | 1.50 | 5.00 | 8.00 | 1.60 |"
    ]


def test_start_up_is_one_line():
    text = extras_text(
        {"startup": {"runs": 5, "help_wall_s": 0.234, "help_import_s": 0.1, "run_import_s": 1.5}}
    )
    assert text.count("\n") == 0
    assert [part for part in ("0.23 s", "0.100 s", "1.50 s", "median of 5") if part not in text] == []
