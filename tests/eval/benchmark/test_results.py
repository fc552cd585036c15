import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from eval.benchmark.contestants import OURS, PLAIN
from eval.benchmark.markdown_table import contestants_table, extras_text, floor_table, stages_table
from eval.benchmark.results import Agreement, agreement, entries, ratio, stages_of
from eval.benchmark.stage_plots import draw_memory, draw_stages
from eval.measuring.trace import OWN_RAM, QUANTITIES, Trace

SECONDS = {"read": 1.0, "networks": 6.0, "write": 0.5}


def record(contestant, wall_s, repeat=0, scan="big", scan_bytes=2, exit_code=0, stopped="", seconds=SECONDS):
    return {
        "about": {
            "contestant": contestant,
            "network": "small",
            "scan": scan,
            "scan_bytes": scan_bytes,
            "repeat": repeat,
        },
        "exit_code": exit_code,
        "stopped": stopped,
        "wall_s": wall_s,
        "cpu_s": 2 * wall_s,
        "peak_mb": 100 * wall_s,
        "others": 0.5,
        "report": {"cases": [{"seconds": seconds, "windows_run": 12}]} if not exit_code else {},
    }


RECORDS = [record(OURS, 9.0, 0), record(OURS, 30.0, 1), record(OURS, 10.0, 2), record(PLAIN, 40.0)]


def test_what_is_in_no_stage_is_the_start():
    assert stages_of(record(OURS, 10.0)) == {"start": 2.5, **SECONDS}
    assert stages_of(record(PLAIN, 10.0, seconds={"load networks": 2.0, "networks": 6.0})) == {
        "start": 4.0,
        "networks": 6.0,
    }


def test_medians_ratios_and_the_floor():
    ours, plain = entries(RECORDS, {"small": 0.25}, {("small", "big", OURS): {PLAIN: Agreement(0.9, 3)}})
    assert (ours.runs, ours.wall_s, ours.cpu_s, ours.peak_mb) == (3, 10.0, 20.0, 1000.0)
    assert ours.floor_s == 12 * 0.25 + 1.0 + 0.5
    assert ratio([ours, plain], plain, "wall_s") == 4.0
    assert math.isnan(plain.floor_s)
    assert ours.agreement[PLAIN].dice == 0.9


def test_a_run_that_failed_is_no_figure():
    ours, plain = entries(
        [RECORDS[0], record(PLAIN, 5.0, exit_code=-9, stopped="out of memory: held 9 MiB")], {}, {}
    )
    assert plain.stopped == "out of memory: held 9 MiB"
    assert math.isnan(ratio([ours, plain], plain, "wall_s"))
    row = contestants_table([ours, plain]).splitlines()[-1]
    assert "out of memory" in row
    assert "5.0" not in row


def test_runs_that_ended_well_count_where_others_of_the_same_failed():
    (plain,) = entries([record(PLAIN, 40.0), record(PLAIN, 1.0, 1, exit_code=1)], {}, {})
    assert (plain.runs, plain.wall_s, plain.stopped) == (1, 40.0, "")


@pytest.mark.parametrize(
    ("one", "other", "right_of", "expected"),
    [
        ([1, 1, 0], [1, 0, 0], {}, Agreement(2 / 3, 1)),
        ([1, 2, 0], [1, 0, 3], {}, Agreement(1 / 3, 3)),
        ([2, 13], [2, 2], {13: 2}, Agreement(1.0, 1)),
        ([0, 0], [0, 0], {}, Agreement(1.0, 0)),
    ],
)
def test_agreement_is_the_mean_dice_of_labels_that_either_has(one, other, right_of, expected):
    maps = [np.array(labels, np.uint8).reshape(1, 1, -1) for labels in (one, other)]
    assert agreement(*maps, right_of) == expected


def test_tables_say_it_in_markdown():
    found = entries(RECORDS, {"small": 0.25}, {("small", "big", OURS): {PLAIN: Agreement(0.99, 3)}})
    lines = contestants_table(found).splitlines()
    assert (
        lines[2] == "| small | big | predict.py | 3 | 10.0 | 1.00 | 20.0 | 1.00 | 1000 | 1.00 | 12 | 0.50 "
        "| 0.9900 (3 labels) |  |"
    )
    assert (
        lines[3]
        == "| small | big | plain-fp32 | 1 | 40.0 | 4.00 | 80.0 | 4.00 | 4000 | 4.00 | 12 | 0.50 |  |  |"
    )
    assert (
        floor_table(found).splitlines()[2]
        == "| small | big | predict.py | 12 | 3.00 | 1.50 | 4.50 | 10.00 | 2.22 |"
    )
    assert stages_table(found).splitlines()[2] == "| small | big | predict.py | 2.50 | 1.00 | 6.00 | 0.50 |"


def test_extras_are_told_as_far_as_they_were_measured():
    assert extras_text({}) == ""
    folder = {"network": "small", "scan": "big", "cases": 10, "wall_s": 30.0, "cold_wall_s": 4.0}
    assert "0.75 of 10 cold runs" in extras_text({"folders": [folder]})


def test_pictures_are_drawn_also_of_nothing(tmp_path):
    times = np.arange(5.0)
    values = {name: np.full(5, np.nan) for name in QUANTITIES} | {OWN_RAM: times * 100}
    draw_stages(entries(RECORDS, {}, {}), tmp_path / "stages.png")
    draw_memory(
        {("small", "big", OURS): Trace(times_s=times, values=values, duration_s=4.0)}, tmp_path / "memory.png"
    )
    draw_stages([], tmp_path / "none.png")
    sizes = [(tmp_path / name).stat().st_size for name in ("stages.png", "memory.png", "none.png")]
    assert min(sizes[:2]) > sizes[2] > 0


def test_pictures_say_what_was_measured(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    draw_stages([], tmp_path / "stages.png", "revision abc")
    draw_memory({}, tmp_path / "memory.png", "revision abc")
    assert [figure.get_supxlabel() for figure in figures] == ["revision abc", "revision abc"]
