"""Which quantities share a panel of `profile`'s picture."""

import numpy as np
import pytest

from eval.measuring.trace import EXACT_CPU, GPU_USE, OWN_CPU, OWN_RAM, RAM, Trace
from eval.pictures.curves import draw_curves, panels_of


def trace(**peaks: float) -> Trace:
    return Trace(
        times_s=np.array([0.0, 1.0]),
        values={name: np.array([0.0, peak]) for name, peak in peaks.items()},
        duration_s=2.0,
    )


@pytest.mark.parametrize(
    ("own_mb", "host_mb", "panels"),
    [
        (500.0, 2000.0, [[OWN_RAM, RAM]]),
        (500.0, 2001.0, [[OWN_RAM], [RAM]]),  # on one scale the command's would be a flat line
        (2000.0, 500.0, [[OWN_RAM, RAM]]),
    ],
)
def test_the_hosts_memory_does_not_flatten_the_commands(own_mb, host_mb, panels):
    made = trace(**{OWN_RAM: own_mb, RAM: host_mb})
    assert [kept for _, kept in panels_of(made)] == panels


def test_what_was_not_measured_has_no_panel(tmp_path):
    made = trace(**{GPU_USE: 50.0, OWN_CPU: 100.0, EXACT_CPU: 100.0})
    assert [kept for _, kept in panels_of(made)] == [[GPU_USE], [OWN_CPU, EXACT_CPU]]
    draw_curves(made, [], "a command", tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text(encoding="utf-8").count("legend_") >= 2
