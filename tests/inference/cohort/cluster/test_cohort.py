"""A cohort on one machine: every case has one fate, whatever happens to workers and driver."""

import os
import signal

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import UsageError
from tests.inference.cohort.cluster.conftest import bright_ml
from tests.inference.cohort.cluster.fake_tools import FakeTools
from tests.inference.images import voxels


def test_the_output_mirrors_the_input(bench):
    bench.put("p1/s1/ct_0000", "p1/s2/ct_0000", "p2/ct")
    (bench.source / "p2" / "bad.nii.gz").write_bytes(b"no image")
    code, out, err = bench.run()
    assert code == 1
    assert bench.written == ["p1/s1/ct.nii.gz", "p1/s2/ct.nii.gz", "p2/ct.nii.gz"]
    assert bench.statuses == {
        "p1/s1/ct": "segmented",
        "p1/s2/ct": "segmented",
        "p2/bad": "failed",
        "p2/ct": "segmented",
    }
    (line,) = err
    assert line.startswith(f"error: {bench.source}/p2/bad.nii.gz: ")
    assert out[-1].startswith("4 cases: 3 segmented, 1 failed; ")
    row = bench.rows["p1/s1/ct"]
    assert (row["tries"], row["size_zyx"], row["spacing_zyx_mm"]) == ("1", "7×6×5", "4×3×2")
    assert bench.record("p1/s1/ct")["volumes_ml"] == {"liver": pytest.approx(bright_ml()), "spleen": 0.0}
    assert (row["liver_ml"], row["spleen_ml"]) == (f"{bright_ml():.2f}", "0.00")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(bench.output / "p1/s1/ct.nii.gz")))
    assert np.array_equal(labels[1:], (voxels() > 100)[1:])


def test_a_poisonous_case_is_set_aside_and_harms_no_other(bench):
    bench.put(*"abcdef", poison="p")
    code, _, err = bench.run(bench.processes)
    assert code == 1
    assert bench.statuses == dict.fromkeys("abcdef", "segmented") | {"p": "failed"}
    row = bench.rows["p"]
    assert "killed its worker 2 times" in row["reason"]
    assert row["tries"] == "2"
    assert sum("died" in line for line in err) == 2
    assert not [path for path in bench.output.rglob(".*")]


def test_a_run_goes_on_where_it_ended(bench):
    bench.put(*"abc")
    assert bench.run()[0] == 0
    done = {case: bench.record(case) for case in "abc"}
    bench.put("d")
    with pytest.raises(UsageError, match="holds outcomes of 3 of these cases; go on with --resume"):
        bench.run()
    code, out, _ = bench.run(resume=True)
    assert code == 0
    assert out[-1].startswith("4 cases: 1 segmented, 3 done before; ")
    assert {case: bench.record(case) for case in "abc"} == done, "nothing is done twice"
    assert bench.statuses == dict.fromkeys("abcd", "segmented")


def test_what_failed_is_tried_again_only_where_asked_for(bench):
    bench.put("a")
    (bench.source / "b.nii.gz").write_bytes(b"no image")
    assert bench.run()[0] == 1
    bench.put("b")
    code, out, _ = bench.run(resume=True)
    assert (code, out[-1].split(";")[0]) == (1, "2 cases: 2 done before")
    code, out, _ = bench.run(resume=True, retry_failed=True)
    assert (code, out[-1].split(";")[0]) == (0, "2 cases: 1 segmented, 1 done before")


def test_a_label_map_that_is_there_and_whole_is_kept_when_a_run_goes_on(bench):
    bench.put(*"ab")
    bench.run()
    for case in "ab":
        (bench.output / f"{case}.outcome.json").unlink()
    (bench.output / "b.nii.gz").write_bytes((bench.output / "b.nii.gz").read_bytes()[:-1])
    bench.run(resume=True)
    assert bench.statuses == {"a": "skipped", "b": "segmented"}


def test_parts_of_a_cohort_can_be_run_apart(bench):
    bench.put(*"abcde")
    for part in (1, 2):
        assert bench.run(part=(part, 2))[0] == 0
    assert bench.written == [f"{case}.nii.gz" for case in "abcde"]
    tables = sorted(path.name for path in bench.output.glob("*.csv"))
    assert tables == ["outcomes-1-of-2.csv", "outcomes-2-of-2.csv"]
    assert bench.run(resume=True)[1][-1].startswith("5 cases: 5 done before")
    assert bench.statuses == dict.fromkeys("abcde", "segmented")


def test_a_worker_that_is_killed_loses_no_case(bench):
    """The first worker to open dies while it has two cases in hand."""
    bench.put(*"abcdefgh")
    killed = []

    def opens(call, console):
        engine = bench.processes(call, console)
        send = engine.send

        def kill(worker, task):
            send(worker, task)
            if not killed or (killed[0] == worker and len(killed) < 2):
                killed.append(worker)
                if len(killed) == 2:
                    os.kill(engine._workers[worker].process.pid, signal.SIGKILL)

        engine.send = kill
        return engine

    bench.tools = FakeTools(seconds=0.2)
    code, _, err = bench.run(opens)
    assert code == 0
    assert bench.statuses == dict.fromkeys("abcdefgh", "segmented")
    assert [line.split(": ")[2] for line in err] == ["died"]
    assert sorted(row["tries"] for row in bench.rows.values()) == ["1"] * 6 + ["2"] * 2
