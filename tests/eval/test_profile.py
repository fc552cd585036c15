import json
import sys

import numpy as np
import pytest

from eval.__main__ import main
from eval.curves import draw_curves
from eval.errors import InputError
from eval.profile import read_stages, report_path
from eval.trace import OWN_RAM, QUANTITIES, Trace, read_trace

REPORT = {"cases": [{"seconds": {"read": 1.0, "networks": 6.0}}, {"seconds": {"read": 0.5, "networks": 1.5}}]}
SCRIPT = f"import pathlib, time; pathlib.Path('run.json').write_text({json.dumps(json.dumps(REPORT))}); time.sleep(1)"


@pytest.mark.parametrize(
    ("command", "path"),
    [(["a", "--report", "run.json"], "run.json"), (["a", "--report=run.json", "b"], "run.json"), (["a", "--report"], None), (["a"], None)],
)
def test_the_report_is_found_in_the_command(command, path):
    assert (report_path(command) and str(report_path(command))) == path


def test_stages_follow_each_other_and_end_with_the_run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(REPORT))
    stages = read_stages(tmp_path / "run.json", 10.0)
    assert [(stage.name, stage.start_s, stage.end_s) for stage in stages] == [
        ("start", 0, 1), ("read", 1, 2), ("networks", 2, 8), ("read", 8, 8.5), ("networks", 8.5, 10),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{}", "no json", '{"cases": [{}]}', '{"cases": [1]}'])
def test_another_file_is_no_report(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="is no report"):
        read_stages(tmp_path / "run.json", 10.0)


def test_a_command_is_profiled(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    program = [sys.executable, "-c", SCRIPT, "--report", "run.json"]
    assert main(["profile", "--output", "run.png", "--", *program]) == 0
    assert (tmp_path / "run.png").stat().st_size > 10_000
    assert read_trace(tmp_path / "run.csv").peak(OWN_RAM) > 1
    out, err = capfd.readouterr()
    assert "RAM, its own" in out
    assert "no report" not in err
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
    draw_curves(full, read_stages(tmp_path / "run.json", 10.0), "all", tmp_path / "all.png")
    draw_curves(Trace(times_s=np.array([]), values={}, duration_s=1.0), [], "nothing", tmp_path / "nothing.pdf")
    assert (tmp_path / "all.png").stat().st_size > 20_000
    assert (tmp_path / "nothing.pdf").is_file()
