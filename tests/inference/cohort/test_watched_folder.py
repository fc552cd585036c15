"""A folder of cases in a second process, one of which ends it: it costs that case alone."""

import time

import numpy as np
import pytest

from inference.cohort import watchdog
from inference.cohort.folder import OTHER_GRID
from inference.cohort.watchdog import WatchedRun
from inference.imaging.reading import open_image
from inference.imaging.writing import write_labels
from tests.inference.cohort.watched_folder import JUMPS, SLICES, DeadlyFolder, put_cases
from tests.inference.images import write_nifti

B_ALONE_FAILS = [("a", "segmented"), ("b", "failed"), ("c", "segmented")]


@pytest.fixture
def bench(tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


def run(bench, **options):
    """Run the folder; outcomes as they were told, and the names of what was segmented, in order."""
    told = []
    watched = WatchedRun(
        work=DeadlyFolder(output=bench / "out", log=bench / "log", **options),
        limit_s=120.0,
        output=bench / "out",
        tell=told.append,
        progress=lambda *_: None,
    )
    watched.run(put_cases(bench / "in"))
    return told, (bench / "log").read_text(encoding="utf-8")


def fates(told):
    return [(outcome.case.path.name[0], outcome.status) for outcome in told]


@pytest.mark.parametrize(
    ("moment", "hangs", "order"),
    [
        ("opened", False, "ac"),  # a, which was begun, is run before b, each alone.
        ("read", False, "aac"),  # So they are where a is segmented meanwhile.
        ("segmented", False, "abc"),
        ("written", False, "abcbc"),  # c was segmented meanwhile: b is run alone, then c.
        ("read", True, "aac"),
        ("segmented", True, "abc"),
        ("written", True, "abcbc"),
    ],
)
def test_a_process_that_ends_at_any_step_of_a_case_costs_that_case(bench, monkeypatch, moment, hangs, order):
    """The clock jumps when it is heard of a process that hangs, so that nobody has to wait."""
    clock = time.monotonic
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: clock() + 1000.0 * len(JUMPS))
    told, segmented = run(bench, moment=moment, hangs=hangs)
    assert fates(told) == B_ALONE_FAILS
    how = "took longer than the 120 s of --case-timeout" if hangs else "ended by signal SIGKILL"
    assert how in told[1].error
    assert segmented == order
    assert sorted(path.name for path in (bench / "out").iterdir()) == ["a.nii.gz", "c.nii.gz"]


@pytest.fixture
def results_on_another_grid(bench):
    geometry = open_image(write_nifti(bench / "other.nii.gz")).geometry
    for name in SLICES:
        write_labels(bench / "out" / f"{name}.nii.gz", np.zeros(geometry.size_zyx, np.uint8), geometry)


@pytest.mark.usefixtures("results_on_another_grid")
def test_cases_that_are_segmented_anew_are_known_again_by_their_paths(bench):
    """Each comes back with a warning that it went without."""
    told, segmented = run(bench, skip_existing=True)
    assert fates(told) == B_ALONE_FAILS
    assert [outcome.warnings for outcome in told] == [(OTHER_GRID,), (), (OTHER_GRID,)]
    assert segmented == "abc"


@pytest.mark.usefixtures("results_on_another_grid")
def test_a_crash_while_it_is_looked_what_is_there_costs_the_case_that_was_looked_at(bench):
    told, segmented = run(bench, skip_existing=True, moment="looked at")
    assert sorted(fates(told)) == B_ALONE_FAILS
    assert segmented == "ac"
