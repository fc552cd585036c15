import json
import sys

import numpy as np
import pytest

from eval.__main__ import main
from eval.eval_errors import JudgingError
from eval.measuring.trace import OWN_RAM, QUANTITIES, Trace, read_trace
from eval.measuring.watch import read_stages, report_path
from eval.pictures.curves import draw_curves

REPORT = {
    "cases": [
        {"spans_unix_s": [["read", 1001, 1002], ["networks", 1002, 1008]]},
        {"spans_unix_s": [["read", 1003, 1004.5], ["networks", 1008, 1009]]},
    ]
}
# Long enough for several samples.
SCRIPT = """import json, pathlib, time
start = time.time()
while time.process_time() < 0.5: pass
case = {'spans_unix_s': [['read', start, start + 0.5]]}
pathlib.Path('run.json').write_text(json.dumps({'cases': [case]}))"""


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["a", "--report", "run.json"], "run.json"),
        (["a", "--report=run.json", "b"], "run.json"),
        (["a", "--report"], None),
        (["a"], None),
    ],
)
def test_the_report_is_found_in_the_command(command, path):
    assert (report_path(command) and str(report_path(command))) == path


def test_stages_are_where_the_time_was_spent(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(REPORT))
    stages = read_stages(tmp_path / "run.json", 1000.0)
    assert [(stage.name, stage.start_s, stage.end_s, stage.case) for stage in stages] == [
        ("read", 1, 2, 0), ("networks", 2, 8, 0), ("read", 3, 4.5, 1), ("networks", 8, 9, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["{}", "no json", '{"cases": [{}]}', '{"cases": [1]}', '{"cases": [{"spans_unix_s": [["read", 1]]}]}'],
)
def test_another_file_is_no_report(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(JudgingError, match="is no report"):
        read_stages(tmp_path / "run.json", 10.0)


def test_the_report_of_an_earlier_run_is_not_taken_for_this_ones(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(REPORT))
    with pytest.raises(JudgingError, match="earlier run"):
        read_stages(tmp_path / "run.json", 2000.0)


def test_a_command_is_profiled(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    program = [sys.executable, "-c", SCRIPT, "--report", "run.json"]
    assert main(["profile", "--output", "run.png", "--", *program]) == 0
    assert (tmp_path / "run.png").stat().st_size > 10_000
    assert read_trace(tmp_path / "run.csv").peak(OWN_RAM) > 1
    out, err = capfd.readouterr()
    assert "RAM, its own" in out
    assert "no stages" not in err
    assert main(["profile", "--output", "run.png", "--", *program]) == 2
    assert "exists already" in capfd.readouterr().err


def test_the_exit_code_is_the_commands(tmp_path, capfd):
    paths = ["--output", str(tmp_path / "run.png")]
    assert main(["profile", *paths, "--", sys.executable, "-c", "raise SystemExit(7)"]) == 7
    assert "exit code 7" in capfd.readouterr().err
    assert main(["profile", *paths, "--force", "--", str(tmp_path / "nothing")]) == 2
    assert "cannot be started" in capfd.readouterr().err


def test_everything_is_drawn_and_so_is_nothing(tmp_path):
    times = np.arange(-0.5, 10, 0.1)
    (tmp_path / "run.json").write_text(json.dumps(REPORT))
    values = {name: 1000 + 500 * np.sin(times + i) for i, name in enumerate(QUANTITIES)}
    full = Trace(times_s=times, values=values, duration_s=10.0)
    draw_curves(full, read_stages(tmp_path / "run.json", 1000.0), "all", tmp_path / "all.png")
    draw_curves(
        Trace(times_s=np.array([]), values={}, duration_s=1.0), [], "nothing", tmp_path / "nothing.pdf"
    )
    assert (tmp_path / "all.png").stat().st_size > 20_000
    assert (tmp_path / "nothing.pdf").is_file()
