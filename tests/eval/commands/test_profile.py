"""`profile`: a command's own exit code, its stages if it tells of them, two files or none."""

import json
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from eval.commands.profile import profile_text
from eval.measuring.trace import CPU, GPU, OWN_CPU, OWN_GPU, OWN_RAM, RAM, Trace, read_trace
from tests.eval.command_line import assert_refused, call, files_in


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Samplers that do not wait for a baseline."""
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)


def profiled(folder, code: str, *words: object, output: str = "run.png", force: bool = False) -> int:
    flags = ("--force",) if force else ()
    return call("profile", "--output", folder / output, *flags, "--", sys.executable, "-c", code, *words)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
    ],
)
def test_the_exit_code_is_the_commands_and_the_figures_are_written(tmp_path, code, exit_code):
    assert profiled(tmp_path, code) == exit_code
    assert files_in(tmp_path) == ["run.csv", "run.png"]
    assert 0 < read_trace(tmp_path / "run.csv").duration_s < 3600, "from its start, not by a clock"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is no report"),
        ("[]", "is no report"),
        ('{"cases": 1}', "is no report"),
        (json.dumps({"cases": [{"spans_unix_s": [["read", 5.0, 6.0]]}]}), "earlier run"),
    ],
)
def test_a_report_that_does_not_serve_is_named_and_costs_only_the_stages(tmp_path, capfd, text, said):
    report = tmp_path / "run.json"
    if text is not None:
        report.write_text(text)
    assert profiled(tmp_path, "pass", "--report", report) == 0
    assert said in capfd.readouterr().err
    assert (tmp_path / "run.png").is_file()


def test_stages_make_the_picture_taller(tmp_path, monkeypatch):
    """By 0.26 inches for each, and 0.15, at 150 dots an inch; other panels depend on what is measured."""
    monkeypatch.setattr("eval.pictures.curves.panels_of", lambda trace: [("RAM (MB)", [RAM])])
    assert profiled(tmp_path, "pass", output="plain.png") == 0
    now = time.time() + 60
    report = {"cases": [{"spans_unix_s": [["read", now, now + 1], ["networks", now + 1, now + 2]]}]}
    (tmp_path / "run.json").write_text(json.dumps(report))
    assert profiled(tmp_path, "pass", f"--report={tmp_path / 'run.json'}", output="staged.png") == 0
    sizes = [sitk.ReadImage(str(tmp_path / f"{name}.png")).GetSize() for name in ("plain", "staged")]
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] - sizes[0][1] == pytest.approx((2 * 0.26 + 0.15) * 150, abs=1)


def test_what_the_command_says_goes_where_ours_goes(tmp_path, capfd):
    assert profiled(tmp_path, "import sys; print('to out'); print('to err', file=sys.stderr)") == 0
    out, err = capfd.readouterr()
    assert "to out" in out
    assert "to err" in err
    assert str(tmp_path / "run.png") in out


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_name_says_the_format(tmp_path, suffix):
    assert profiled(tmp_path, "pass", output=f"run.{suffix}") == 0
    start = (tmp_path / f"run.{suffix}").read_bytes()[:5]
    assert start.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])


def test_nothing_is_replaced_unless_asked(tmp_path, capsys):
    (tmp_path / "run.csv").write_text("mine")
    program = ("--", sys.executable, "-c", "open('ran', 'w')")
    assert_refused(capsys, ("profile", "--output", tmp_path / "run.png", *program), "run.csv", "--force")
    assert files_in(tmp_path) == ["run.csv"]
    assert profiled(tmp_path, "pass", force=True) == 0
    assert (tmp_path / "run.csv").read_text(encoding="utf-8").startswith("Time_s,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--output", "run.bmp", "--", "true"), "run.bmp: "),
        (("--output", "run", "--", "true"), ".png, .pdf, .svg"),
        (("--output", "none/run.png", "--", "true"), "none: no such folder"),
        (("--output", "run.png", "--", "./nothing"), "./nothing: cannot be started"),
        (("--output", "run.png"), "COMMAND"),
        (("--", "true"), "--output"),
    ],
)
def test_wrong_calls_leave_nothing(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert_refused(capsys, ("profile", *words), said)
    assert files_in(tmp_path) == []


def trace(**values: float) -> Trace:
    times = np.array([-0.5, 0.0, 1.0, 2.0])
    columns = {GPU: "gpu", OWN_GPU: "own_gpu", RAM: "ram", OWN_RAM: "own_ram", CPU: "cpu", OWN_CPU: "own_cpu"}
    return Trace(
        times_s=times,
        values={name: np.full(4, values[key]) for name, key in columns.items() if key in values},
        duration_s=2.0,
    )


@pytest.mark.parametrize(
    ("values", "there", "absent"),
    [
        ({}, ["2.00 s", "3 samples"], ["GPU", "RAM", "MB"]),
        ({"own_ram": 500.0}, ["500 MB", "1000 MB·s"], ["GPU", "CPU"]),
        ({"gpu": 3000.0, "own_gpu": 1000.0}, ["GPU, before", "3000 MB", "6000 MB·s", "2000 MB·s"], ["RAM"]),
        ({"own_cpu": 150.0}, ["150 %", "300 %·s"], ["RAM"]),
    ],
)
def test_only_what_was_sampled_is_printed(values, there, absent):
    text = profile_text(trace(**values))
    assert all(part in text for part in there)
    assert not [part for part in absent if part in text]


def test_a_sampler_that_stopped_is_mentioned():
    stopped = Trace(times_s=np.array([0.0, 1.0]), values={}, duration_s=100.0)
    assert "1.0 s after the start" in profile_text(stopped)
