"""A folder of cases in a second process, one of which ends it: it costs that case alone."""

import numpy as np
import pytest

from inference.cohort.folder import OTHER_GRID
from inference.cohort.watchdog import WatchedRun
from inference.imaging.reading import open_image
from inference.imaging.writing import write_labels
from tests.inference.cohort.watched_folder import SLICES, DeadlyFolder, put_cases
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
    return told, (bench / "log").read_text()


def fates(told):
    return [(outcome.case.path.name[0], outcome.status) for outcome in told]


def test_a_case_whose_result_is_on_disk_is_not_run_again(bench):
    told, segmented = run(bench)
    assert fates(told) == B_ALONE_FAILS
    assert "ended by signal SIGKILL" in told[1].error
    assert segmented == "abc"
    assert sorted(path.name for path in (bench / "out").iterdir()) == ["a.nii.gz", "c.nii.gz"]


def test_cases_that_are_segmented_anew_are_known_again_by_their_paths(bench):
    """Each comes back with a warning that it went without."""
    geometry = open_image(write_nifti(bench / "other.nii.gz")).geometry
    for name in SLICES:
        write_labels(bench / "out" / f"{name}.nii.gz", np.zeros(geometry.size_zyx, np.uint8), geometry)
    told, segmented = run(bench, skip_existing=True)
    assert fates(told) == B_ALONE_FAILS
    assert [outcome.warnings for outcome in told] == [(OTHER_GRID,), (), (OTHER_GRID,)]
    assert segmented == "abc"
