import math

import numpy as np
import pytest

from eval.eval_errors import JudgingError
from eval.measuring.trace import GPU, OWN_GPU, QUANTITIES, RAM, Trace, parse_samples, read_trace, write_trace


def trace(samples: dict[float, float], duration_s: float) -> Trace:
    return Trace(
        times_s=np.array(list(samples)), values={GPU: np.array(list(samples.values()))}, duration_s=duration_s
    )


def test_the_integral_follows_the_time_stamps_and_the_organisers_sum_does_not():
    irregular = trace({0.0: 0.0, 2.0: 100.0}, 3.0)
    assert irregular.integral(GPU) == 100 + 100
    assert irregular.organisers_sum(GPU) == pytest.approx(0.1 * 100)


def test_a_constant_curve_has_the_same_integral_however_it_is_sampled():
    generator = np.random.default_rng(4)
    for _ in range(20):
        times = np.sort(generator.uniform(0, 10, 30))
        assert trace(dict.fromkeys(times, 500.0), 10.0).integral(GPU) == pytest.approx(5000)


def test_a_lost_sample_is_bridged_and_counted():
    lost = trace({0.0: 10.0, 1.0: math.nan, 2.0: 30.0}, 2.0)
    assert lost.integral(GPU) == 40
    assert lost.peak(GPU) == 30
    assert (lost.samples, lost.lost(GPU), lost.lost(OWN_GPU)) == (3, 1, 0)
    assert not lost.has(OWN_GPU)


def test_only_what_is_above_a_tolerance_counts_as_excess():
    """A triangle from 0 to 4096 MB in 2 s and down again is above 2048 MB for 2 s: half of 2 s × 2048 MB."""
    triangle = trace({0.0: 0.0, 2.0: 4096.0, 4.0: 0.0}, 4.0)
    assert triangle.integral(GPU, 2048) == pytest.approx(2048)
    assert triangle.integral(GPU, 4096) == 0


def test_the_baseline_is_kept_apart_from_the_run():
    held = trace({-1.0: 300.0, -0.5: 310.0, -0.1: 305.0, 0.1: 2000.0, 0.9: 1000.0, 1.5: 9000.0}, 1.0)
    assert held.baseline(GPU) == 305
    assert held.peak(GPU) == 2000
    assert held.samples == 2
    assert held.longest_gap_s == pytest.approx(0.8)


def test_nothing_taken_is_not_a_number():
    empty = trace({}, 2.0)
    assert all(
        math.isnan(figure)
        for figure in (empty.peak(GPU), empty.integral(GPU), empty.organisers_sum(GPU), empty.baseline(GPU))
    )
    assert empty.longest_gap_s == 2.0
    assert empty.stopped_after_s is None


@pytest.mark.parametrize(("duration_s", "stopped"), [(3.0, None), (30.0, 2.5)])
def test_a_sampler_that_died_is_noticed(duration_s, stopped):
    assert trace({0.0: 1.0, 2.5: 1.0}, duration_s).stopped_after_s == stopped


def test_what_a_dying_sampler_wrote_is_read():
    text = "100.0,1,2,3,4,5,6,7,8\n100.5,,2,3,4,5,6,7,8\n101.0,8,2,3,4,5,6,7,8\n101.5,9,2"
    read = parse_samples(text, 100.25, 102.25)
    assert read.times_s.tolist() == [-0.25, 0.25, 0.75]
    assert read.duration_s == 2.0
    assert math.isnan(read.values[GPU][1])
    assert read.values[RAM].tolist() == [5, 5, 5]


def test_traces_are_written_and_read_back(tmp_path):
    values = {name: np.array([1.0, math.nan, 3.0]) for name in QUANTITIES}
    first = Trace(times_s=np.array([-0.5, 0.25, 1.0]), values=values, duration_s=1.5)
    write_trace(tmp_path / "trace.csv", first)
    second = read_trace(tmp_path / "trace.csv")
    assert second.times_s.tolist() == first.times_s.tolist()
    assert second.duration_s == 1.5
    np.testing.assert_array_equal(second.values[GPU], first.values[GPU])


def test_another_table_is_refused(tmp_path):
    (tmp_path / "scores.csv").write_text("Name,Liver_DSC\na,1\n")
    with pytest.raises(JudgingError, match="is no trace"):
        read_trace(tmp_path / "scores.csv")
