"""Figures of made traces: every integral is an area that one can draw."""

import math

import numpy as np
import pytest

from eval.eval_errors import JudgingError
from eval.measuring.trace import (
    CPU,
    EXACT_CPU,
    GPU,
    OWN_CPU,
    OWN_RAM,
    QUANTITIES,
    RAM,
    TIME,
    Trace,
    parse_samples,
    read_trace,
    write_trace,
)

NAN = math.nan


def trace(times, values, duration_s, quantity=GPU) -> Trace:
    return Trace(
        times_s=np.array(times, float), values={quantity: np.array(values, float)}, duration_s=duration_s
    )


@pytest.mark.parametrize(
    ("times", "values", "duration_s", "integral"),
    [
        ([0, 1, 2], [10, 10, 10], 2, 20),
        ([0, 2], [0, 100], 2, 100),  # a triangle
        ([0, 1, 2], [0, 100, 0], 2, 100),
        ([1], [50], 4, 200),  # one sample stands for all the time
        ([1, 2], [50, 70], 4, 50 + 60 + 140),  # both ends are stretched
        ([0.5, 1], [50, 70], 1, 25 + 30),
        ([-1, 0, 1], [900, 10, 10], 1, 10),  # what was before the start does not count
        ([0, 1, 5], [10, 10, 900], 2, 20),  # nor what came after the end
        ([0, 1, 2], [10, NAN, 30], 2, 40),  # a straight line over a lost sample
        ([0, 1, 2], [NAN, 20, NAN], 2, 40),
        ([0, 1, 2], [NAN, NAN, NAN], 2, NAN),
        ([], [], 2, NAN),
    ],
)
def test_the_integral_is_the_area_under_the_curve(times, values, duration_s, integral):
    assert trace(times, values, duration_s).integral(GPU) == pytest.approx(integral, nan_ok=True)


@pytest.mark.parametrize(
    ("quantity", "times", "values", "duration_s", "integral"),
    [
        # A container that is seen from 2 s on was not there at 0 s, and at 1 s nobody saw it.
        (OWN_RAM, [0, 1, 2, 3], [NAN, NAN, 100, 100], 3, 50 + 100),
        (OWN_RAM, [2, 3], [100, 100], 3, 300),  # no sample before says that it was not there
        (RAM, [1, 2], [50, 50], 2, 100),  # the host was there all the time
        # A rate counts for the time since the sample before: 200 % for 1 s, not from the start on.
        (OWN_CPU, [0, 1, 2, 3], [NAN, NAN, 200, 0], 3, 200),
        (CPU, [-1, 0, 1, 3], [90, 90, 50, 20], 3, 50 + 40),
        (EXACT_CPU, [-1, 0, 1, 3], [90, 90, 50, 20], 3, 50 + 40),
        (CPU, [1, 2], [50, 50], 4, 200),  # nor does it end before the command
        (OWN_CPU, [1, 2], [NAN, NAN], 2, NAN),
    ],
)
def test_what_is_the_programs_own_starts_when_it_is_there(quantity, times, values, duration_s, integral):
    assert trace(times, values, duration_s, quantity).integral(quantity) == pytest.approx(
        integral, nan_ok=True
    )


@pytest.mark.parametrize(
    ("values", "stable"),
    [
        ([300.0] * 97 + [8000.0] * 3, 8000.0),
        ([300.0] * 98 + [8000.0] * 2, 300.0),  # 2 % is not more than 2 %
        ([300.0] * 50 + [400.0] * 49 + [8000.0], 400.0),
        (list(range(100)), 99.0),  # no value is stable
    ],
)
def test_the_stable_peak_of_flare22(values, stable):
    made = trace(np.arange(len(values)), values, len(values))
    assert made.stable_peak(GPU) == stable
    assert made.peak(GPU) == max(values)


def test_counters_and_remarks_stand_among_the_samples():
    made = parse_samples(
        "#OwnCPU_s,1.5\n0.5" + "," * len(QUANTITIES) + "\n!hidden\n#OwnCPU_s,2.25\n!hidden\n#Own", 0.0, 1.0
    )
    assert made.counters == {"OwnCPU_s": 2.25}
    assert made.remarks == ("hidden",)
    assert made.samples == 1


@pytest.mark.parametrize(
    ("values", "tolerance", "excess"),
    [
        ([0, 0, 0], 10, 0),
        ([10, 10, 10], 10, 0),
        ([30, 30, 30], 10, 2 * 20),
        ([0, 20, 0], 10, 10 * 1 / 2),  # above 10 from 0.5 s to 1.5 s: a triangle of 1 s and 10
        ([20, 0, 20], 10, 2 * 10 * 0.5 / 2),
        ([0, 40, 0], 30, 10 * 0.5 / 2),
        ([NAN, 20, NAN], 10, 2 * 10),
        ([NAN, NAN, NAN], 10, NAN),
    ],
)
def test_the_excess_is_the_area_above_the_tolerance(values, tolerance, excess):
    found = trace([0, 1, 2], values, 2).integral(GPU, tolerance)
    assert found == pytest.approx(excess, nan_ok=True)


def test_a_rate_below_the_tolerance_takes_nothing_from_the_excess():
    """50 % for 1 s, 150 % for 2 s; above 100 % are 50 % for 2 s."""
    assert trace([1, 3], [50, 150], 3, CPU).integral(CPU, 100) == 2 * 50


def test_whole_area_is_excess_and_what_lies_below_the_tolerance():
    generator = np.random.default_rng(3)
    for _ in range(20):
        times, values = np.sort(generator.uniform(0, 10, 12)), generator.uniform(0, 100, 12)
        drawn = trace(times, values, 10.0)
        whole, excess = drawn.integral(GPU), drawn.integral(GPU, 60.0)
        below = trace(times, values, 10.0).integral(GPU, 1e-12)
        assert 0 <= excess <= whole == pytest.approx(below)
        # Turned upside down, what was below 60 is above: both halves together make up the difference.
        upside_down = trace(times, 120 - values, 10.0).integral(GPU, 60.0)
        assert whole - 600 == pytest.approx(excess - upside_down)


@pytest.mark.parametrize(
    ("times", "values", "duration_s", "peak", "organisers"),
    [
        ([0, 1, 2], [5, 9, 7], 2, 9, 2.1),
        ([0, 1, 2], [5, NAN, 7], 2, 7, 1.2),
        ([-1, 0.5, 3], [50, 9, 70], 2, 9, 0.9),
        ([-1, 3], [50, 70], 2, NAN, NAN),
    ],
)
def test_peak_and_the_organisers_sum_are_over_the_samples_of_the_run(
    times, values, duration_s, peak, organisers
):
    found = trace(times, values, duration_s)
    assert found.peak(GPU) == pytest.approx(peak, nan_ok=True)
    assert found.organisers_sum(GPU) == pytest.approx(organisers, nan_ok=True)


def test_the_organisers_sum_is_the_integral_where_samples_are_a_tenth_of_a_second_apart():
    times = np.arange(0.05, 10, 0.1)
    steady = trace(times, 3000 + 0 * times, 10.0)
    assert steady.organisers_sum(GPU) == pytest.approx(steady.integral(GPU)) == 30_000


@pytest.mark.parametrize(
    ("before", "baseline"),
    [({-0.3: 10, -0.2: 30, -0.1: 20}, 20), ({-0.2: 10, -0.1: NAN}, 10), ({-0.1: NAN}, NAN), ({}, NAN)],
)
def test_the_baseline_is_the_median_before_the_start(before, baseline):
    found = trace([*before, 0.0, 1.0], [*before.values(), 500, 600], 1.0)
    assert found.baseline(GPU) == pytest.approx(baseline, nan_ok=True)


@pytest.mark.parametrize(
    ("times", "duration_s", "samples", "gap_s", "stopped_s"),
    [
        ([0, 1, 2], 2, 3, 1, None),
        ([0.5, 1], 2, 2, 1, None),
        ([1.5], 2, 1, 1.5, None),
        ([], 3, 0, 3, None),
        ([0, 1], 6, 2, 5, 1),
        ([0, 1], 5.9, 2, 4.9, None),
        ([-0.5], 20, 0, 20, 0),
        ([], 20, 0, 20, 0),
    ],
)
def test_how_well_a_run_was_sampled(times, duration_s, samples, gap_s, stopped_s):
    found = trace(times, [1.0] * len(times), duration_s)
    assert found.samples == samples
    assert found.longest_gap_s == pytest.approx(gap_s)
    assert found.stopped_after_s == stopped_s


def test_a_quantity_is_there_if_it_was_taken_once_while_the_command_ran():
    found = trace([-1, 0, 1], [5, NAN, NAN], 2)
    assert not found.has(GPU)
    assert not found.has(RAM)
    assert found.lost(GPU) == 0
    taken = trace([-1, 0, 1, 2], [5, NAN, 7, NAN], 2)
    assert taken.has(GPU)
    assert taken.lost(GPU) == 2


LINE = "1,2,3,4,5,6,7,8"


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", []),
        (f"10.0,{LINE}\n11.0,{LINE}\n", [0, 1]),
        (f"10.0,{LINE}\n11.0,1,2", [0]),
        (f"10.0,{LINE}\n11.0,{LINE},9\n12.0,{LINE}\n", [0, 2]),
        (f"soon,{LINE}\n11.0,{LINE}\n", [1]),
        (f",{LINE}\n\n11.0,{LINE}\n", [1]),
    ],
)
def test_lines_that_a_sampler_could_not_finish_are_left_out(text, times):
    found = parse_samples(text, 10.0, 15.0)
    assert found.times_s.tolist() == times
    assert found.duration_s == 5.0
    assert list(found.values) == list(QUANTITIES)
    assert all(column.size == len(times) for column in found.values.values())


def test_each_column_is_its_own_quantity():
    found = parse_samples(f"10.5,{LINE}\n10.7,1,,x,4,5,6,7,8\n", 10.0, 11.0)
    assert [found.values[name][0] for name in QUANTITIES] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [name for name in QUANTITIES if math.isnan(found.values[name][1])] == list(QUANTITIES[1:3])


def test_a_written_trace_ends_with_the_end_of_the_command(tmp_path):
    values = {name: np.array([1.04, 2.06, NAN, 9.0]) for name in QUANTITIES}
    written = Trace(times_s=np.array([-0.25, 0.1234, 1.0, 7.0]), values=values, duration_s=2.5)
    write_trace(tmp_path / "t.csv", written)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines() == [
        ",".join([TIME, *QUANTITIES]),
        "-0.250" + ",1.0" * 8,
        "0.123" + ",2.1" * 8,
        "1.000" + "," * 8,
        "2.500" + "," * 8,
    ]
    found = read_trace(tmp_path / "t.csv")
    assert found.duration_s == 2.5
    assert found.integral(CPU) == pytest.approx(2.5 * 2.1)
    assert found.peak(OWN_RAM) == 2.1


def test_a_trace_of_an_older_version_lacks_the_exact_cpu(tmp_path):
    line = LINE.removesuffix(",8")
    (tmp_path / "t.csv").write_text(",".join([TIME, *QUANTITIES[:-1]]) + f"\n0.5,{line}\n1,,,,,,,\n")
    found = read_trace(tmp_path / "t.csv")
    assert [name for name in QUANTITIES if found.has(name)] == list(QUANTITIES[:-1])
    assert found.peak(OWN_RAM) == 7.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",".join([TIME, *QUANTITIES]) + "\n",
        ",".join([TIME, *QUANTITIES[::-1]]) + f"\n0,{LINE}\n",
        ",".join([TIME, *QUANTITIES]) + f"\nsoon,{LINE}\n",
        ",".join(QUANTITIES) + f"\n{LINE}\n",
    ],
    ids=["empty", "no rows", "other order", "no time", "no times"],
)
def test_tables_that_are_no_traces(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(JudgingError, match=r"t\.csv"):
        read_trace(tmp_path / "t.csv")
