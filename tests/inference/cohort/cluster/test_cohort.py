"""A cohort on one machine: every case has one fate, whatever happens to workers and driver."""

import io
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Condition, get_ident

import numpy as np
import pytest
import SimpleITK as sitk

from inference.cohort import one_case
from inference.cohort.cluster.cohort_results import open_results
from inference.cohort.cluster.driver import seats
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.seats import Machine, room_on, workers_on
from inference.cohort.cluster.driver.worker_processes import sight
from inference.cohort.cluster.fates import Fate
from inference.cohort.cluster.worker.warm_worker import WarmWorker, WorkerSetup
from inference.cohort.one_case import OpenedCase
from inference.cohort.progress import Console
from inference.commands.cohort import segment_cohort
from inference.errors import DeviceError, UsageError
from inference.runtime.process_memory import held_mb
from model.bundle import load_bundle
from tests.inference.cohort.cluster.conftest import bright_ml
from tests.inference.cohort.cluster.fake_tools import DOUBT, FakeDevice, FakeTools
from tests.inference.cohort.cluster.in_process import InProcess
from tests.inference.images import voxels, write_nifti, write_series
from tests.struck_workers import OF_TERMINALS, strike_at_start

PATIENCE_S = 60.0


def test_the_output_mirrors_the_input(bench):
    bench.put("p1/s1/ct_0000", "p1/s2/ct_0000", "p2/ct")
    (bench.source / "p2" / "bad.nii.gz").write_bytes(b"no image")
    bench.tools = FakeTools(doubts=(DOUBT,))
    code, out, err = bench.run()
    assert code == 1
    assert bench.written == ["p1/s1/ct.nii.gz", "p1/s2/ct.nii.gz", "p2/ct.nii.gz"]
    assert bench.statuses == {
        "p1/s1/ct": "segmented",
        "p1/s2/ct": "segmented",
        "p2/bad": "failed",
        "p2/ct": "segmented",
    }
    error, *warnings = sorted(err)
    assert error.startswith(f"error: {bench.source}/p2/bad.nii.gz: ")
    doubtful = ("p1/s1/ct", "p1/s2/ct", "p2/ct")
    assert warnings == [f"warning: {case}: look at the result: {DOUBT}" for case in doubtful]
    assert out[-1].startswith("4 cases: 3 segmented (3 doubtful), 1 failed; ")
    row = bench.rows["p1/s1/ct"]
    assert (row["tries"], row["size_zyx"], row["spacing_zyx_mm"]) == ("1", "7×6×5", "4×3×2")
    assert bench.record("p1/s1/ct")["volumes_ml"] == {"liver": pytest.approx(bright_ml()), "spleen": 0.0}
    assert (row["liver_ml"], row["spleen_ml"], row["doubts"]) == (f"{bright_ml():.2f}", "0.00", DOUBT)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(bench.output / "p1/s1/ct.nii.gz")))
    assert np.array_equal(labels[1:], (voxels() > 100)[1:])


class Terminal(io.StringIO):
    """What a person sees in the end: each line after the last return to its start."""

    def isatty(self):
        return True

    @property
    def lines(self):
        return [line.rpartition("\r")[2] for line in self.getvalue().split("\n")]


class Leaving(InProcess):
    """Its workers are gone as soon as the bar was drawn."""

    def wait(self, timeout_s):
        if "] 0/3 " in sys.stderr.getvalue():
            raise DeviceError("no worker is left")
        return super().wait(timeout_s)


def test_the_bar_goes_when_the_run_ends(bench, monkeypatch):
    """It is drawn twice a second at most, and so seldom after the last case."""
    bench.put(*"abc")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    segment_cohort(bench.call(), Console(terminal, terminal), bench.in_process)
    assert "] 0/3 " in terminal.getvalue()
    said, end = terminal.lines
    assert said.startswith("3 cases: 3 segmented; ")
    assert end == ""


def test_the_bar_goes_when_the_run_fails(bench, monkeypatch):
    bench.put(*"abc")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    setups = [WorkerSetup(tools=bench.tools, output=str(bench.output))]
    with pytest.raises(DeviceError):
        segment_cohort(bench.call(), Console(terminal, terminal), lambda call, console: Leaving(setups))
    assert terminal.lines == [""]


def test_the_last_line_says_where_results_lie(bench, tmp_path):
    bench.put("a")
    page = tmp_path / "page.html"
    code, out, _ = bench.run(report=page, statistics=tmp_path / "organs.csv")
    tables = f"organs in {tmp_path}/organs.csv and {tmp_path}/organs.json"
    assert code == 0
    assert out[-1].endswith(f"; labels and outcomes.csv in {bench.output}; {tables}; page {page}")


@pytest.mark.parametrize("typed", ["in", "../{}/in", "list.csv"])
def test_failures_name_images_as_the_user_typed_the_cohort(bench, tmp_path, monkeypatch, typed):
    (bench.source / "bad.nii.gz").write_bytes(b"no image")
    (tmp_path / "list.csv").write_text("case,image\nbad,in/bad.nii.gz\n")
    monkeypatch.chdir(tmp_path)
    place = typed.format(tmp_path.name)
    _, _, (error,) = bench.run(input=place)
    shown = "in" if typed == "list.csv" else place
    assert error.startswith(f"error: {shown}/bad.nii.gz: ")


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


def test_a_table_takes_several_series_of_one_folder(bench, tmp_path):
    """Of two slices and of three; when another is named, that case alone is segmented again."""
    for count in (2, 3):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(bench.source / "p", slices, uid=f"1.2.{count}", number=count)
    table = tmp_path / "cases.csv"

    def run(first, **changes):
        table.write_text(f"case,image,series\na,in/p,{first}\nb,in/p,1.2.3\n", encoding="utf-8")
        return bench.run(input=str(table), **changes)

    assert run("1.2.2")[0] == 0
    assert [bench.record(case)["size_zyx"][0] for case in "ab"] == [2, 3]
    assert [bench.record(case)["series"] for case in "ab"] == ["1.2.2", "1.2.3"]
    before = bench.record("b")
    assert run("1.2.3", resume=True)[0] == 0
    assert bench.record("a")["size_zyx"][0] == 3
    assert bench.record("b") == before
    code, _, err = run("7", resume=True)
    assert code == 1
    assert "holds no series 7; name one of these: 1.2.3: 3 CT images" in err[0]


def test_a_run_goes_on_with_the_bundle_with_which_it_began(bench):
    """Two models would be mixed in one folder, without a word in any table."""
    ours = load_bundle(bench.bundle).sha256
    bench.put(*"ab")
    bench.tools = FakeTools(bundle_sha256=ours)
    bench.run()
    assert [bench.record(case)["bundle_sha256"] for case in "ab"] == [ours, ours]
    bench.put("c")
    assert bench.run(resume=True)[0] == 0
    other = Fate(case="b", images=(), status="segmented", bundle_sha256="0123456789abcdef" * 4)
    open_results(str(bench.output)).record(other)
    bench.put("d")
    refusal = (
        r"out: b was segmented with another bundle \(SHA-256 of its manifest 0123456789ab…, that of .*"
        rf"default is {ours[:12]}…\); go on with that one by --bundle, or give another folder with --output"
    )
    with pytest.raises(UsageError, match=refusal):
        bench.run(lambda call, console: pytest.fail("an engine was opened"), resume=True)
    assert not (bench.output / "d.outcome.json").exists()


@pytest.mark.parametrize(
    "earlier",
    [
        Fate(case="a", images=(), status="segmented"),
        Fate(case="a", images=(), status="failed", bundle_sha256="0" * 64),
    ],
    ids=["of a release that did not record it", "failed, so without labels"],
)
def test_outcomes_that_name_no_bundle_or_have_no_labels_are_gone_on_with(bench, earlier):
    bench.put(*"ab")
    bench.run()
    open_results(str(bench.output)).record(earlier)
    (bench.output / "b.outcome.json").unlink()
    (bench.output / "b.nii.gz").unlink()
    _, out, _ = bench.run(resume=True)
    assert out[-1].startswith("2 cases: 1 segmented, 1 done before")


def test_of_very_many_outcomes_some_are_looked_at(bench, monkeypatch):
    """Seven cases, at most three looked at: the 1st, 4th and 7th."""
    monkeypatch.setattr("inference.cohort.cluster.driver.earlier_runs.LOOKED_AT", 3)
    bench.put(*"abcdefg")
    bench.run()
    other = Fate(case="b", images=(), status="segmented", bundle_sha256="0" * 64)
    open_results(str(bench.output)).record(other)
    assert bench.run(resume=True)[0] == 0
    open_results(str(bench.output)).record(replace(other, case="g"))
    with pytest.raises(UsageError, match="g was segmented with another bundle"):
        bench.run(resume=True)


def test_what_failed_is_tried_again_only_where_asked_for(bench):
    bench.put("a")
    (bench.source / "b.nii.gz").write_bytes(b"no image")
    assert bench.run()[0] == 1
    bench.put("b")
    code, out, _ = bench.run(resume=True)
    assert (code, out[-1].split(";")[0]) == (1, "2 cases: 2 done before, of which 1 failed (b)")
    assert "; try again with --retry-failed; labels and " in out[-1]
    code, out, _ = bench.run(resume=True, retry_failed=True)
    assert (code, out[-1].split(";")[0]) == (0, "2 cases: 1 segmented, 1 done before")
    assert "--retry-failed" not in out[-1]


def test_of_many_that_failed_before_the_first_are_named_and_those_of_this_run_are_not(bench):
    for name in "abcde":
        (bench.source / f"{name}.nii.gz").write_bytes(b"no image")
    bench.run()
    (bench.source / "f.nii.gz").write_bytes(b"no image")
    code, out, err = bench.run(resume=True)
    said = "6 cases: 1 failed, 5 done before, of which 5 failed (a, b, c, 2 more)"
    assert (code, out[-1].split(";")[0], len(err)) == (1, said, 1)


def test_a_label_map_that_is_there_and_whole_is_kept_when_a_run_goes_on(bench):
    bench.put(*"ab")
    bench.run()
    for case in "ab":
        (bench.output / f"{case}.outcome.json").unlink()
    (bench.output / "b.nii.gz").write_bytes((bench.output / "b.nii.gz").read_bytes()[:-1])
    bench.run(resume=True)
    assert bench.statuses == {"a": "skipped", "b": "segmented"}


@pytest.mark.parametrize("letter", ["x", "é", "肝"])
def test_a_case_whose_name_is_too_long_for_its_outcome_fails_alone(bench, letter):
    """A file's name takes at most 255 bytes, `.outcome.json` takes 13: a case's name 242."""
    width = len(letter.encode())
    fits = letter * (242 // width) + "y" * (242 % width)
    bench.put("a", fits, fits + "z")
    code, out, err = bench.run()
    assert code == 1
    (line,) = err
    assert line == (
        f"error: {fits}z: the name of its outcome (*.outcome.json) would take 256 bytes, and files here may "
        "take 255; give the case a shorter name"
    )
    assert out[-1].startswith("3 cases: 2 segmented, 1 failed; ")
    assert bench.written == sorted(["a.nii.gz", f"{fits}.nii.gz"])
    assert bench.statuses == {"a": "segmented", fits: "segmented", f"{fits}z": "failed"}
    code, out, err = bench.run(resume=True)
    assert (code, err) == (1, [line])
    assert out[-1].startswith("3 cases: 1 failed, 2 done before; ")


def test_a_table_may_give_names_whose_folders_are_too_long(bench, tmp_path):
    bench.put("a")
    rows = [f"{name},{bench.source}/a.nii.gz" for name in (f"p/{'x' * 256}/ct", "p/ct")]
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(["case,image", *rows]), encoding="utf-8")
    code, _, err = bench.run(input=str(table))
    assert (code, bench.written) == (1, ["p/ct.nii.gz"])
    assert "the name of its folder would take 256 bytes, and files here may take 255" in err[0]


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
    """The first worker to be given a second case dies with it in hand."""
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
    assert {row["tries"] for row in bench.rows.values()} == {"1", "2"}


def test_images_and_results_may_lie_behind_urls(bench, memory):
    bench.put("p1/a_0000", "p2/b")
    memory.put(str(bench.source), "/cohort/in", recursive=True)
    memory.pipe("/cohort/in/p2/bad.nii.gz", b"no image")
    code, _, err = bench.run(input="memory://cohort/in", output="memory://cohort/out")
    assert code == 1
    (line,) = err
    assert line.startswith("error: memory:///cohort/in/p2/bad.nii.gz: "), "the name that people know"
    found = {path.removeprefix("/cohort/out/") for path in memory.find("/cohort/out")}
    labels = {"p1/a.nii.gz", "p2/b.nii.gz"}
    records = {"p1/a.outcome.json", "p2/b.outcome.json", "p2/bad.outcome.json"}
    assert found == labels | records | {"outcomes.csv"}
    code, _, _ = bench.run(input=str(bench.source))
    for name in labels:
        assert memory.cat(f"/cohort/out/{name}") == (bench.output / name).read_bytes()


def test_a_storage_that_fails_once_is_tried_again(bench, memory, monkeypatch):
    """By the worker that met the failure, while its assembly line still has to hear of the first try."""
    bench.put("a")
    bench.workers = 1
    put, failures = type(memory).put_file, [OSError("the connection was lost")]

    def put_file(self, *given, **options):
        if failures:
            raise failures.pop()
        return put(self, *given, **options)

    monkeypatch.setattr(type(memory), "put_file", put_file)
    code, out, err = bench.run(output="memory://cohort/out")
    assert (code, err) == (0, [])
    assert out[-1].startswith("1 case: 1 segmented; ")


def test_what_another_worker_recorded_stands_though_the_storage_failed_this_one(bench, memory, monkeypatch):
    """One whose driver was killed may still be at work; the next driver has no try left."""
    bench.put("a")
    other = Fate(case="a", images=(), status="segmented", worker="another")
    put, failures = type(memory).put_file, [OSError("the connection was lost")]

    def put_file(self, *given, **options):
        if not failures:
            return put(self, *given, **options)
        open_results("memory://cohort/out").record(other)
        raise failures.pop()

    monkeypatch.setattr(type(memory), "put_file", put_file)
    code, out, _ = bench.run(output="memory://cohort/out", retries=0)
    assert code == 0
    assert out[-1].startswith("1 case: 1 segmented; ")
    assert Fate.from_json(memory.cat("/cohort/out/a.outcome.json")) == other


def test_no_cell_of_the_table_is_a_formula(bench):
    bench.put("=1+1")
    bench.run()
    assert list(bench.rows) == ["'=1+1"]


def test_where_no_worker_can_be_started_nothing_is_written(bench):
    bench.put("a")

    def refuse(call, console):
        raise UsageError("no cluster")

    with pytest.raises(UsageError, match="no cluster"):
        bench.run(refuse)
    assert list(bench.output.iterdir()) == []


def test_a_page_is_written_where_asked_for(bench, tmp_path):
    for case in ("a", "b"):
        bench.put(case)
        bench.run(report=tmp_path / "page.html", resume=True)
    assert "2 segmented" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_image_is_not_written_over_by_a_page(bench):
    bench.put("a")
    image = bench.source / "a.nii.gz"
    before = image.read_bytes()
    for changes in ({"report": image}, {"statistics": image}):
        with pytest.raises(UsageError, match=r"a\.nii\.gz: must end in \."):
            bench.run(**changes)
    assert image.read_bytes() == before
    assert not bench.output.exists()


def test_a_page_may_lie_in_the_folder_of_results_that_is_not_made_yet(bench):
    bench.put("a")
    bench.run(report=bench.output / "page.html", statistics=bench.output / "organs.csv")
    assert {"page.html", "organs.csv", "organs.json"} < {path.name for path in bench.output.iterdir()}


def test_a_device_is_kept_busy_while_cases_are_read_and_written(bench, monkeypatch):
    """The device ends a case when the next is read and the last one written: never, if its thread did that.

    Nor does its thread do any other step in between. Cases come as fast as they do where each takes a while.
    """
    names = [f"c{i}" for i in range(10)]
    bench.put(*names)
    bench.workers = 1
    done, changed, devices, others, waited = Counter(), Condition(), set(), set(), []

    def counted(step, work):
        def count(*given):
            others.add(get_ident())
            result = work(*given)
            with changed:
                done[step] += 1
                changed.notify_all()
            return result

        return count

    def predict(*given):
        devices.add(get_ident())
        number = len(waited)
        with changed:
            waited.append(
                changed.wait_for(
                    lambda: done["read"] >= min(number + 2, 10) and done["written"] >= number, PATIENCE_S
                )
            )
        return segment(*given)

    def take(worker, wait):
        case = come(worker, wait or done["taken"] < 10)
        done["taken"] += 1
        return case

    segment, come = FakeDevice.predict, WarmWorker._take
    monkeypatch.setattr(FakeDevice, "predict", predict)
    monkeypatch.setattr(WarmWorker, "_take", take)
    monkeypatch.setattr(one_case, "open_case", counted("opened", one_case.open_case))
    monkeypatch.setattr(OpenedCase, "read", counted("read", OpenedCase.read))
    monkeypatch.setattr(one_case, "write_labels", counted("written", one_case.write_labels))
    bench.run()
    assert waited == 10 * [True]
    assert (done["opened"], len(devices), devices & others) == (10, 1, set())


@pytest.mark.slow
def test_ten_thousand_cases_take_no_more_memory_than_a_thousand(bench, monkeypatch):
    bench.put("p/c0")
    for number in range(1, 10_000):
        os.link(bench.source / "p/c0.nii.gz", bench.source / f"p/c{number}.nii.gz")
    memory_mb = {}

    def watch(view):
        done = view._standing.done
        memory_mb.setdefault(done // 1000, held_mb())

    monkeypatch.setattr("inference.commands.cohort.LiveView.progress", watch)
    code, out, _ = bench.run()
    assert code == 0
    assert out[-1].startswith("10000 cases: 10000 segmented")
    assert max(memory_mb.values()) - memory_mb[min(set(memory_mb) - {0})] < 30


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"input": "{}/nowhere"}, "nowhere: no such folder"),
        ({"output": "{}/in/out"}, "the input .* lies in the output folder|lies in"),
        ({"output": "nope://bucket"}, "nope://bucket: cannot be reached"),
        ({"address": "head"}, "--address head: give none, local, auto or HOST:PORT"),
        ({"address": "127.0.0.1:1"}, "--address 127.0.0.1:1: does not answer"),
        ({"retry_failed": True}, "--retry-failed: goes with --resume"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_run(bench, changes, refusal):
    bench.put("a")
    given = {
        name: value.format(bench.source.parent) if isinstance(value, str) else value
        for name, value in changes.items()
    }
    with pytest.raises(UsageError, match=refusal):
        bench.run(lambda call, console: pytest.fail("an engine was opened"), **given)


def test_the_memory_of_a_machine_admits_its_workers():
    call = CohortCall(input="in", output="out", bundle=Path("b"), host_memory_mb=3000)
    room = room_on(Machine(cpus=64, memory_mb=20_000), call)
    assert (room.workers, room.cpus, room.limit, room.device) == (6, 4, "memory", "cpu")
    room = room_on(Machine(cpus=8, memory_mb=64_000, gpus=2), replace(call, gpus_per_worker=0.5))
    assert (room.workers, room.cpus, room.limit, room.device) == (4, 2, "GPUs", "cuda")
    assert room_on(Machine(cpus=64, memory_mb=2999), call).workers == 0
    assert room_on(Machine(cpus=64, memory_mb=20_000), replace(call, device="cuda")).workers == 0


def test_a_share_of_a_gpu_lies_on_one_gpu():
    assert [workers_on(gpus, 0.7) for gpus in (0, 1, 2, 3)] == [0, 1, 2, 3]
    assert (workers_on(3, 0.5), workers_on(3, 2), workers_on(3, 1)) == (6, 1, 3)

    def seen(share, workers):
        return [sight(["a", "b", "c", "d"], index, share)["CUDA_VISIBLE_DEVICES"] for index in range(workers)]

    assert seen(0.7, 3) == ["a", "b", "c"]
    assert seen(0.5, 4) == ["a", "a", "b", "b"]
    assert seen(1.0, 2) == ["a", "b"]
    assert seen(2.0, 2) == ["a,b", "c,d"]


@pytest.mark.parametrize(
    ("chosen", "names"), [(None, ["0", "1"]), ("3, 1", ["3", "1"]), ("GPU-a,GPU-b,9,2", ["GPU-a", "GPU-b"])]
)
def test_gpus_are_named_as_workers_may_be_told_of_them(chosen, names, monkeypatch):
    """Of two that the driver shows."""
    monkeypatch.setattr(seats, "select_backend", lambda device: "cuda")
    monkeypatch.setattr(seats, "visible_gpus", lambda: ["aa", "bb"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert seats.gpu_names() == names


@pytest.mark.parametrize("number", OF_TERMINALS)
def test_ctrl_c_while_a_worker_starts_is_left_to_the_driver(bench, monkeypatch, capfd, number):
    """The terminal tells both; the driver, which here does not hear it, is the one to end the run."""
    strike_at_start(monkeypatch, number)
    bench.put("a")
    assert bench.run(bench.processes)[::2] == (0, [])
    assert capfd.readouterr() == ("", "")


def test_the_traceback_of_a_fault_of_the_program_stands_in_the_outcome(bench, monkeypatch):
    def fault(self, volume, plan=None, timings=None, reserved_mb=0.0):
        raise KeyError("Rows")

    monkeypatch.setattr(FakeDevice, "predict", fault)
    bench.put("p/a")
    code, _, err = bench.run()
    why = f"{bench.source}/p/a.nii.gz: KeyError: 'Rows'; this is a fault of the program"
    assert (code, err) == (1, [f"error: {why}; its traceback is in p/a.outcome.json"])
    outcome = bench.record("p/a")
    assert outcome["reason"] == bench.rows["p/a"]["reason"] == why
    assert outcome["trace"].startswith("Traceback (most recent call last):")
    assert outcome["trace"].endswith("KeyError: 'Rows'")


def test_cases_cut_into_windows_are_told_of_at_the_end_and_when_it_is_resumed(bench, monkeypatch):
    """The small one was not: a voxel of it is marked."""
    predict = FakeDevice.predict

    def cut(self, volume, plan=None, timings=None, reserved_mb=0.0):
        result = predict(self, volume, plan, timings, reserved_mb)
        more_mb = None if volume.array[0, 0, 0] == 7 else (620, 0)
        return replace(result, plan=replace(result.plan, larger_windows_mb=more_mb))

    monkeypatch.setattr(FakeDevice, "predict", cut)
    bench.put("a", "b", "small")
    array = voxels()
    array[0, 0, 0] = 7
    write_nifti(bench.source / "small.nii.gz", array)
    for changes in ({}, {"resume": True}):
        (line,) = bench.run(**changes)[2]
        assert line.startswith("warning: 2 cases were cut into windows for want of memory; from --host-mem")
    assert bench.record("small")["larger_windows_mb"] is None
