import sys

import pytest

from eval.benchmark.cold_runs import Limits, Task, do, measure
from eval.eval_errors import JudgingError

PLENTY = Limits(memory_mb=100_000, seconds=100)
SPIN = "while True: pass"


def python(code):
    return [sys.executable, "-c", code]


def test_a_run_is_measured(tmp_path):
    code = "held = b'x' * (100 << 20); print('done'); assert sum(range(12_000_000)) and held[0]"
    measured, trace = measure(python(code), PLENTY, tmp_path / "log", tmp_path)
    assert measured.exit_code == 0
    assert measured.stopped == ""
    assert 0 < measured.cpu_s <= measured.wall_s * 1.5
    assert 100 < measured.peak_mb < 400
    assert measured.others >= 0
    assert trace.duration_s == pytest.approx(measured.wall_s)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "done\n"


@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        (f"held = b'x' * (200 << 20)\n{SPIN}", Limits(memory_mb=150, seconds=100), "out of memory"),
        (SPIN, Limits(memory_mb=100_000, seconds=0.2), "longer than"),
    ],
)
def test_a_run_that_takes_too_much_is_stopped(tmp_path, code, limits, why):
    measured, _ = measure(python(code), limits, tmp_path / "log", tmp_path)
    assert measured.exit_code < 0
    assert measured.stopped.startswith(why)


def test_a_command_that_is_not_there(tmp_path):
    with pytest.raises(JudgingError, match="cannot be started"):
        measure([str(tmp_path / "nothing")], PLENTY, tmp_path / "log", tmp_path)


def test_a_run_is_made_once_unless_it_is_about_something_else(tmp_path):
    code = "open('count', 'a').write('x'); open('report.json', 'w').write('{\"cases\": []}')"

    def task(about):
        return Task(
            folder=tmp_path / "runs",
            name="run",
            about=about,
            command=python(code),
            report=tmp_path / "report.json",
            cwd=tmp_path,
        )

    first = do(task({"threads": 1}), 100)
    assert do(task({"threads": 1}), 100) == first
    assert first["report"] == {"cases": []}
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x"
    do(task({"threads": 2}), 100)
    assert (tmp_path / "count").read_text(encoding="utf-8") == "xx"


def test_a_half_written_record_is_no_record(tmp_path):
    task = Task(
        folder=tmp_path,
        name="run",
        about={},
        command=python("pass"),
        report=tmp_path / "none.json",
        cwd=tmp_path,
    )
    task.record_path.write_text('{"about": {', encoding="utf-8")
    assert task.record() is None
    assert do(task, 100)["report"] == {}
