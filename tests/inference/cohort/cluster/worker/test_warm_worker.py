"""A worker by itself: what it makes of a case that another worker had in hand too."""

from pathlib import Path

import pytest

from inference.cohort import one_case
from inference.cohort.cluster.cohort_results import open_results
from inference.cohort.cluster.fates import Fate, Task
from inference.cohort.cluster.worker.warm_worker import WarmWorker, WorkerSetup
from inference.errors import OutputError
from tests.inference.cohort.cluster.fake_tools import FakeDevice, FakeTools


@pytest.fixture
def worker(bench):
    bench.output.mkdir()
    opened = WarmWorker(WorkerSetup(tools=FakeTools(), output=str(bench.output)))
    yield opened
    opened.close()


def task_of(bench, case):
    return Task(case=case, images=(str(bench.source / f"{case}.nii.gz"),), tries=1)


@pytest.mark.parametrize("recorded_while", ["it is segmented", "it is read"])
def test_what_another_worker_recorded_meanwhile_stands(recorded_while, bench, worker, monkeypatch):
    """One whose driver was killed may go on with what it has in hand; the next driver gives it out anew."""
    bench.put("a")
    other = Fate(case="a", images=(), status="segmented", worker="another")
    if recorded_while == "it is read":
        Path(bench.source / "a.nii.gz").write_bytes(b"no image")
        open_results(str(bench.output)).record(other)
    predict = FakeDevice.predict

    def recorded(*given):
        open_results(str(bench.output)).record(other)
        return predict(*given)

    monkeypatch.setattr(FakeDevice, "predict", recorded)
    assert worker.segment(task_of(bench, "a")).fate == other
    assert bench.record("a")["worker"] == "another"
    assert bench.written == []


@pytest.mark.parametrize(("crumbs", "recorded"), [(False, []), (True, ["liver"])])
def test_what_is_too_little_to_be_an_organ_is_recorded(crumbs, recorded, bench):
    bench.put("a")
    bench.output.mkdir()
    opened = WarmWorker(WorkerSetup(tools=FakeTools(crumbs=crumbs), output=str(bench.output)))
    opened.segment(task_of(bench, "a"))
    opened.close()
    assert (bench.record("a")["crumbs"], bench.record("a")["parts"]) == (recorded, recorded)


def test_who_waits_for_the_last_case_hears_that_the_disk_is_full(bench, worker, monkeypatch):
    """The worker gets no other case before that: nothing else would wake it."""
    bench.put("a")

    def full(path, labels, geometry):
        raise OutputError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(one_case, "write_labels", full)
    with pytest.raises(OutputError, match="No space left"):
        worker.segment(task_of(bench, "a"))


def test_a_worker_outlives_what_one_result_alone_cannot_be_written_for(bench, worker, monkeypatch):
    bench.put("a", "b")
    write = one_case.write_labels

    def too_large(path, *given):
        if path.name == "a.nii.gz":
            raise MemoryError
        write(path, *given)

    monkeypatch.setattr(one_case, "write_labels", too_large)
    fates = [worker.segment(task_of(bench, case)).fate for case in "ab"]
    assert [fate.status for fate in fates] == ["failed", "segmented"]
    assert fates[0].reason.endswith("a.nii.gz: does not fit into this machine's memory; crop the image first")
    assert bench.record("a")["status"] == "failed"
    assert bench.written == ["b.nii.gz"]
