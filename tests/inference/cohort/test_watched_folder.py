"""A folder of cases in a second process, one of which ends it: it costs that case alone."""

import pytest

from inference.cohort.watchdog import WatchedRun
from tests.inference.cohort.watched_folder import DeadlyFolder, put_cases


@pytest.fixture
def bench(tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


def run(bench):
    """Run the folder; outcomes as they were told, and the names of what was segmented, in order."""
    told = []
    watched = WatchedRun(
        work=DeadlyFolder(output=bench / "out", log=bench / "log"),
        limit_s=120.0,
        output=bench / "out",
        tell=told.append,
        progress=lambda *_: None,
    )
    watched.run(put_cases(bench / "in"))
    return told, (bench / "log").read_text()


def test_a_case_whose_result_is_on_disk_is_not_run_again(bench):
    told, segmented = run(bench)
    assert [(outcome.case.path.name[0], outcome.status) for outcome in told] == [
        ("a", "segmented"),
        ("b", "failed"),
        ("c", "segmented"),
    ]
    assert "ended by signal SIGKILL" in told[1].error
    assert segmented == "abc"
    assert sorted(path.name for path in (bench / "out").iterdir()) == ["a.nii.gz", "c.nii.gz"]
