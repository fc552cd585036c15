"""Cases under a limit of time, in a second process that hangs, crashes or is ended with the program."""

import signal
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from inference.cohort import watchdog
from inference.cohort.cases import Case
from inference.cohort.outcome import Outcome
from inference.cohort.watchdog import WatchedRun
from inference.errors import DeviceError
from leanseg.ending import until_ended
from tests.inference.cohort.watched_work import slow_to_leave, spoilt_by_its_end, work
from tests.struck_workers import OF_TERMINALS, strike_at_start


def cases_of(*names):
    return [Case(path=Path(f"/in/{name}.nii"), output_name=f"{name}.nii.gz") for name in names]


def run(output, cases, limit_s=120.0, progress=lambda *_: None, work=work):
    outcomes = []
    watched = WatchedRun(work=work, limit_s=limit_s, output=output, tell=outcomes.append, progress=progress)
    try:
        watched.run(cases)
    finally:
        told = [(outcome.case.path.stem, outcome.status, outcome.error) for outcome in outcomes]
    return told


def test_a_case_that_hangs_has_failed_and_the_others_go_on(tmp_path, monkeypatch):
    """The clock jumps when the case that hangs is begun, so that nobody has to wait."""
    clock, jumped = time.monotonic, [0.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: clock() + jumped[0])
    (tmp_path / ".leanseg-1-left.tmp").touch()

    def progress(done, total, name):
        jumped[0] += 1000 if "hangs" in name else 0

    told = run(tmp_path, cases_of("a", "b-hangs", "c"), progress=progress)
    late = "/in/b-hangs.nii: took longer than the 120 s of --case-timeout"
    assert told == [("a", "segmented", None), ("b-hangs", "failed", late), ("c", "segmented", None)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "message"), [("crashes", "by signal SIGKILL; is there"), ("leaves", "with exit code 3; is there")]
)
def test_a_crash_costs_the_case_that_it_happened_on(tmp_path, how, message):
    told = run(tmp_path, cases_of("a", f"b-{how}", "c"))
    assert [status for _, status, _ in told] == ["segmented", "failed", "segmented"]
    assert f"the process that segmented it ended {message}" in told[1][2]


def test_a_process_that_is_late_before_any_case_fails_them_one_by_one(tmp_path):
    told = run(tmp_path, cases_of("a", "b"), limit_s=0.001)
    assert [(name, status) for name, status, _ in told] == [("a", "failed"), ("b", "failed")]


class SlowPipe:
    """A connection over which each message comes 1000 s after the one before."""

    def __init__(self, messages):
        self.messages = messages
        self.now_s = 0.0

    def poll(self, timeout_s):
        self.now_s += min(timeout_s, 1000.0)
        return timeout_s >= 1000.0

    def recv(self):
        return self.messages.pop(0)

    def close(self):
        pass


def test_cases_that_are_left_out_take_no_time_of_the_next(tmp_path, monkeypatch):
    a, b, c, d = cases_of("a", "b", "c", "d")
    skipped = [Outcome(case=case, status="skipped") for case in (a, b, c)]
    pipe = SlowPipe([*skipped, d, Outcome(case=d, status="segmented"), None])
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: pipe.now_s)
    context = Mock(**{"Pipe.return_value": (pipe, Mock())})
    monkeypatch.setattr(watchdog, "get_context", lambda _: context)
    told = run(tmp_path, [a, b, c, d], limit_s=2000.0)
    assert [status for _, status, _ in told] == ["skipped", "skipped", "skipped", "segmented"]


def test_what_ends_the_run_in_the_second_process_ends_it_here(tmp_path):
    with pytest.raises(DeviceError, match="the device is gone"):
        run(tmp_path, cases_of("a", "b-device", "c"))
    with pytest.raises(RuntimeError, match="KeyError: 'fault'") as raised:
        run(tmp_path, cases_of("b-fault"))
    (note,) = raised.value.__notes__
    assert note.startswith("Traceback")
    assert "watched_work.py" in note


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit(143), ImportError])
@pytest.mark.parametrize(("work", "statuses"), [(slow_to_leave, ["segmented"]), (spoilt_by_its_end, [])])
def test_an_interrupted_program_hears_of_what_was_written_last(tmp_path, capfd, end, work, statuses):
    """Whatever became of the interruption in either process."""
    outcomes = []

    def progress(done, total, name):
        raise end

    watched = WatchedRun(work=work, limit_s=120.0, output=tmp_path, tell=outcomes.append, progress=progress)
    with pytest.raises(type(end) if isinstance(end, BaseException) else end):
        watched.run(cases_of("a", "b"))
    assert [outcome.status for outcome in outcomes] == statuses
    assert capfd.readouterr() == ("", "")


def test_an_outcome_that_is_being_told_when_the_program_is_ended_is_told_to_its_end(tmp_path):
    """The signal comes where the first process has heard of the case, and nobody else of that yet."""
    noted = []

    def tell(outcome):
        if not noted:
            signal.raise_signal(signal.SIGTERM)
        noted.append(outcome.case.path.stem)

    watched = WatchedRun(work=work, limit_s=120.0, output=tmp_path, tell=tell, progress=lambda *_: None)
    assert until_ended(lambda: watched.run(cases_of("a", "b")) or 1) == 143
    assert noted[0] == "a"


@pytest.mark.parametrize("number", OF_TERMINALS)
def test_ctrl_c_while_the_second_process_starts_fails_no_case(tmp_path, monkeypatch, capfd, number):
    """The terminal tells both; the first one, which here does not hear it, is the one to end the run."""
    strike_at_start(monkeypatch, number)
    assert [status for _, status, _ in run(tmp_path, cases_of("a", "b"))] == ["segmented", "segmented"]
    assert capfd.readouterr() == ("", "")
