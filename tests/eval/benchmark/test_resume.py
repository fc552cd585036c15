"""A benchmark that goes on where it stopped: what was recorded for just this run is not done again."""

import json
import math

import pytest

from eval.benchmark.cold_runs import Task, do, write_json
from eval.benchmark.contestants import OURS, PLAIN, PLAIN_BF16
from eval.benchmark.pipelines import write_results
from eval.benchmark.results import read_records
from tests.eval.benchmark.made_benchmark import benchmark, network, scan, write_run
from tests.eval.command_line import files_in

WINDOW_S = 0.25


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Samplers do not wait for a baseline."""
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)


def with_window(folder):
    """The seconds of one window of each member, as they are kept."""
    (folder / "networks").mkdir(exist_ok=True)
    write_json(folder / "networks" / "window-small.json", {"about": {}, "seconds": {"a": 0.2, "b": 0.3}})


def test_every_run_has_a_name_and_a_description_of_its_own(tmp_path):
    made = benchmark(tmp_path, networks=[network(tmp_path, "small"), network(tmp_path, "large")])
    tasks = [
        made.task(contestant, each, made.scans[0], repeat)
        for contestant in (OURS, PLAIN, PLAIN_BF16)
        for each in made.networks
        for repeat in (0, 1)
    ]
    assert len({task.name for task in tasks}) == len({json.dumps(task.about) for task in tasks}) == len(tasks)
    assert {task.folder for task in tasks} == {tmp_path / "runs"}


@pytest.mark.parametrize(
    ("change", "still_good"),
    [
        ({}, True),
        ({"threads": 2}, False),
        ({"timeout_s": 5.0}, True),
        ({"repeats": 3}, True),
    ],
)
def test_a_record_counts_for_the_same_run_only(tmp_path, change, still_good):
    first = benchmark(tmp_path)
    write_run(first, OURS, 10.0)
    again = benchmark(tmp_path, **change)
    task = again.task(OURS, again.networks[0], again.scans[0], 0)
    assert (task.record() is not None) is still_good


def test_another_scan_or_bundle_of_the_same_name_is_another_run(tmp_path):
    first = benchmark(tmp_path)
    write_run(first, OURS, 10.0)
    longer = benchmark(tmp_path, scans=[scan(tmp_path, size=8)])
    assert longer.task(OURS, longer.networks[0], longer.scans[0], 0).record() is None
    scan(tmp_path)
    assert first.task(OURS, first.networks[0], first.scans[0], 0).record() is not None
    (first.networks[0].bundle / "manifest.json").write_text('{"name": "small", "note": "retrained"}')
    assert first.task(OURS, first.networks[0], first.scans[0], 0).record() is None


def test_a_finished_benchmark_starts_no_program(tmp_path, monkeypatch):
    said: list[str] = []
    made = benchmark(tmp_path, contestants=[PLAIN, PLAIN_BF16], repeats=2, say=said.append)
    for contestant, repeat, wall_s in ((PLAIN, 0, 40.0), (PLAIN, 1, 50.0), (PLAIN_BF16, 0, 30.0)):
        write_run(made, contestant, wall_s, repeat)
    write_run(made, PLAIN_BF16, 1.0, 1, exit_code=-9, stopped="longer than 60 s")
    monkeypatch.setattr("subprocess.Popen", None)
    assert made.run_all() is False
    assert sorted(said) == sorted(
        [
            "small, big, plain-fp32, run 1: 40.0 s, 4000 MiB",
            "small, big, plain-bf16, run 1: 30.0 s, 3000 MiB",
            "small, big, plain-fp32, run 2: 50.0 s, 5000 MiB",
            "small, big, plain-bf16, run 2: longer than 60 s",
        ]
    )


@pytest.mark.parametrize(
    ("ends", "well"),
    [
        ([(0, "")], True),
        ([(0, ""), (0, "")], True),
        ([(0, ""), (1, "")], False),
        ([(-9, "out of memory")], False),
    ],
)
def test_it_went_well_if_every_run_did(tmp_path, ends, well):
    made = benchmark(tmp_path, contestants=[PLAIN], repeats=len(ends))
    for repeat, (exit_code, stopped) in enumerate(ends):
        write_run(made, PLAIN, 5.0, repeat, exit_code=exit_code, stopped=stopped)
    assert made.run_all() is well


def test_entries_are_medians_of_all_that_lies_in_the_folder(tmp_path):
    made = benchmark(tmp_path, repeats=3)
    for repeat, wall_s in enumerate((12.0, 10.0, 30.0)):
        write_run(made, OURS, wall_s, repeat)
    write_run(made, PLAIN, 48.0)
    with_window(tmp_path)
    write_json(
        tmp_path / "agreement.json",
        {f"small|big|{OURS}|{PLAIN}": {"stamps": [1, 2], "dice": 0.98, "labels": 13}},
    )
    # Another call, about other contestants, sees them too.
    ours, plain = sorted(benchmark(tmp_path, contestants=[]).entries(), key=lambda entry: entry.wall_s)
    assert (ours.contestant, ours.runs, ours.wall_s, ours.cpu_s, ours.peak_mb) == (
        OURS,
        3,
        12.0,
        24.0,
        1200.0,
    )
    assert ours.floor_s == pytest.approx(12 * WINDOW_S + 1.0 + 0.5)
    assert (ours.agreement[PLAIN].dice, ours.agreement[PLAIN].labels) == (0.98, 13)
    assert (plain.runs, plain.wall_s) == (1, 48.0)
    assert math.isnan(plain.floor_s)


def test_results_are_a_page_with_two_pictures(tmp_path):
    made = benchmark(tmp_path)
    write_run(made, OURS, 12.0)
    write_run(made, PLAIN, 48.0)
    with_window(tmp_path)
    folder = {"network": "small", "scan": "big", "cases": 4, "wall_s": 24.0, "cold_wall_s": 12.0}
    text = write_results(made, {"folders": [folder]})
    assert (tmp_path / "benchmark.md").read_text(encoding="utf-8") == text
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Side by side", "Above the floor", "Stages", "Start-up and folders", "Machine"]
    # Ours is once itself; the plain pipeline takes four times as long.
    side_by_side = [line for line in text.splitlines() if line.startswith("| small | big |")]
    assert "| 12.0 | 1.00 |" in side_by_side[0]
    assert "| 48.0 | 4.00 |" in side_by_side[1]
    assert "0.50 of 4 cold runs" in text
    assert "onnxruntime 1.0" in text
    for name in ("benchmark-stages.png", "benchmark-memory.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_without_a_single_run_the_results_say_so_little(tmp_path):
    made = benchmark(tmp_path)
    text = write_results(made, {})
    assert "| small" not in text
    assert "processors" in text


@pytest.mark.parametrize("cases", [0, 3])
def test_extras_are_measured_once(tmp_path, monkeypatch, cases):
    made = benchmark(tmp_path)
    start = {"runs": 5, "help_wall_s": 0.2, "help_import_s": 0.1, "run_import_s": 0.5}
    write_json(tmp_path / "extras.json", {"startup": start})
    monkeypatch.setattr("subprocess.run", None)
    # No cold run has ended well, so that there is nothing to hold a folder against.
    write_run(made, OURS, 10.0, exit_code=1)
    assert made.run_extras(cases) == {"startup": start}


def test_records_are_read_smallest_scan_first_and_reports_are_none(tmp_path):
    for name, size in (("a", 30), ("b", 10), ("c", 20)):
        write_json(tmp_path / f"{name}.json", {"about": {"scan_bytes": size, "scan": name}})
    write_json(tmp_path / "d-report.json", {"about": {"scan_bytes": 1, "scan": "d"}})
    write_json(tmp_path / "e.json", {"cases": []})
    assert [found["about"]["scan"] for found in read_records(tmp_path)] == ["b", "c", "a"]


@pytest.mark.parametrize("content", [None, "", '{"about": ', '{"about": {"threads": 2}}'])
def test_what_is_no_record_of_this_run_is_made_anew(tmp_path, content):
    task = Task(
        folder=tmp_path / "runs", name="run", about={"threads": 1},
        command=["/bin/sh", "-c", "echo out; echo '{\"cases\": [1]}' > report.json"],
        report=tmp_path / "report.json", cwd=tmp_path,
    )  # fmt: skip
    task.folder.mkdir()
    if content is not None:
        task.record_path.write_text(content)
    found = do(task, 60.0)
    assert (found["about"], found["exit_code"], found["report"]) == ({"threads": 1}, 0, {"cases": [1]})
    assert do(task, 60.0) == found
    assert files_in(tmp_path) == ["report.json", "runs/run.csv", "runs/run.json", "runs/run.log"]
    assert (task.folder / "run.log").read_text(encoding="utf-8") == "out\n"


def test_an_earlier_report_is_not_taken_for_this_runs(tmp_path):
    task = Task(
        folder=tmp_path / "runs", name="run", about={}, command=["/bin/sh", "-c", "exit 3"],
        report=tmp_path / "report.json", cwd=tmp_path,
    )  # fmt: skip
    task.report.write_text('{"cases": [1]}')
    found = do(task, 60.0)
    assert (found["exit_code"], found["report"]) == (3, {})
