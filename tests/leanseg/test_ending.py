"""Ctrl-C, SIGTERM and SIGHUP end a program, whatever becomes of the exception that they raise."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

import pytest

from leanseg import ending
from leanseg.ending import held, is_ended, until_ended
from tests.end_to_end.calls import write_case
from tests.places import ROOT

ENDS = [
    (signal.SIGINT, 130, "interrupted\n"),
    (signal.SIGTERM, 143, "terminated\n"),
    (signal.SIGHUP, 129, "hung up\n"),
]


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Ctrl-C is heard, also where a script started the tests in the background; later all is as before."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    mine = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == mine
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert not is_ended()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def ended(work):
    return until_ended(work, told="{}")


def work_for_ever():
    while True:
        signal.pause()


@pytest.mark.parametrize(("number", "code", "line"), ENDS)
def test_a_signal_ends_the_program(capsys, number, code, line):
    assert ended(lambda: signal.raise_signal(number)) == code
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(("number", "code", "line"), ENDS)
@pytest.mark.parametrize("error", [ImportError("numpy"), SystemError("no exception"), SystemExit(1), None])
def test_what_became_of_a_signal_is_still_that_signal(capsys, number, code, line, error):
    def work():
        with suppress(BaseException):
            signal.raise_signal(number)
        assert is_ended()
        if error is not None:
            raise error
        return 1

    assert ended(work) == code
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(("number", "code", "line"), ENDS)
def test_a_signal_that_c_code_swallows_is_raised_again_until_it_is_heard(
    capsys, monkeypatch, number, code, line
):
    swallowed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: swallowed.append(lost.exc_type))
    called = []

    def calls_back(work):
        called.append(work)
        ctypes.CFUNCTYPE(None)(work)()

    def work():
        calls_back(lambda: signal.raise_signal(number))
        calls_back(signal.pause)
        calls_back(lambda: 1 / 0)
        calls_back(signal.pause)
        work_for_ever()

    assert ended(work) == code
    assert (len(called), swallowed) == (4, [ZeroDivisionError]), "of the interruption no traceback is shown"
    assert capsys.readouterr() == ("", line)


def test_an_error_that_a_library_keeps_is_not_on_its_way(capsys):
    """As those do that say why an optional package is not there when it is needed."""
    kept = []

    def work():
        try:
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException as error:
                raise ImportError from error
        except ImportError as error:
            kept.append(error)
        work_for_ever()

    assert ended(work) == 130


@pytest.mark.parametrize("becomes", [None, ImportError])
def test_who_cleans_up_on_the_way_is_left_alone(becomes):
    cleaned = []

    def clean_up():
        for step in range(3):
            signal.pause()  # Until it is looked whether the interruption was lost.
            cleaned.append(step)

    def work():
        try:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                if becomes is None:
                    raise
                raise becomes from None
        finally:
            clean_up()

    assert ended(work) == 130
    assert cleaned == [0, 1, 2]


def test_a_terminal_that_closes_twice_does_not_end_the_tidying_up():
    """The shell tells its jobs, then ends, whereupon the kernel does."""
    cleaned = []

    def work():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            cleaned.append("all")

    assert ended(work) == 129
    assert cleaned == ["all"]


def test_a_closed_terminal_cannot_be_told(monkeypatch):
    class Closed:
        def write(self, text):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Closed())
    assert ended(lambda: signal.raise_signal(signal.SIGHUP)) == 129


def test_under_nohup_a_closed_terminal_ends_nothing():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert ended(lambda: signal.raise_signal(signal.SIGHUP) or 7) == 7
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("fails", [False, True])
def test_what_must_not_be_left_half_done_is_done(fails):
    done = []

    def work():
        with held():
            signal.raise_signal(signal.SIGINT)
            signal.pause()  # Until it is looked whether the interruption was lost.
            done.append("all")
            if fails:
                raise OSError
        done.append("more")

    assert ended(work) == 130
    assert done == ["all"]


class _LockThatIsInterrupted:
    """A lock; the signal comes when it was just taken."""

    def __init__(self):
        self._lock = threading.Lock()
        self.acquire, self.release, self.locked = self._lock.acquire, self._lock.release, self._lock.locked

    def __enter__(self):
        self._lock.acquire()
        signal.raise_signal(signal.SIGTERM)

    def __exit__(self, *_):
        self.release()


def test_a_lock_of_other_threads_is_not_left_taken():
    lock = _LockThatIsInterrupted()
    condition = threading.Condition(lock)

    def work():
        with condition:
            pass
        work_for_ever()

    assert ended(work) == 143
    assert not lock.locked()


def test_futures_that_are_waited_for_are_not_left_locked():
    lock = _LockThatIsInterrupted()
    lock.acquire = lock.__enter__
    future = Future()
    future._condition = threading.Condition(lock)

    def work():
        wait([future])
        return 1

    assert ended(work) == 143
    assert not lock.locked()


def test_a_thread_whose_start_is_interrupted_is_known_to_its_pool(monkeypatch):
    begin = threading._start_new_thread

    def interrupted_begin(*given):
        begin(*given)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(threading, "_start_new_thread", interrupted_begin)
    pool = ThreadPoolExecutor(1)

    def work():
        pool.submit(int)
        work_for_ever()

    assert ended(work) == 143
    assert len(pool._threads) == 1
    pool.shutdown()


def test_who_holds_on_the_way_out_is_not_interrupted_again():
    done = []

    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            with held():
                done.append("half")
            done.append("all")

    assert ended(work) == 130
    assert done == ["half", "all"]


def test_the_first_signal_counts(capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    assert ended(work) == 143
    assert capsys.readouterr() == ("", "terminated\n")


def test_notes_say_how_to_go_on(capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit as error:
            error.add_note("go on with --resume")
            raise

    assert ended(work) == 143
    assert capsys.readouterr() == ("", "terminated; go on with --resume\n")


def test_what_was_done_nevertheless_is_done(capsys):
    def work():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return 0

    assert ended(work) == 0
    assert capsys.readouterr() == ("", "")


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def work():
        signal.raise_signal(signal.SIGINT)
        return 7

    assert ended(work) == 7
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_without_a_signal_errors_and_codes_are_their_own():
    assert ended(lambda: 7) == 7
    with pytest.raises(ImportError, match="numpy"):
        ended(lambda: __import__("numpy.not_there"))
    with pytest.raises(SystemExit) as stop:
        ended(lambda: sys.exit(2))
    assert stop.value.code == 2


BUNDLE = str(ROOT / "bundles" / "default")
PROGRAMS = {
    "predict, at once": ("numpy", "predict", "--input", "in", "--output", "out"),
    "predict, with its bundle open": ("openvino", "predict", "--input", "in", "--output", "out"),
    "inference": ("inference.commands.cohort", "inference", "cohort", "--input", "in", "--output", "out"),
    "training": ("training.commands.check", "training", "check", "--data", "in"),
    "eval": ("scipy", "eval", "score", "--pred", "in", "--truth", "in", "--labels", "flare22"),
    "model": ("numpy", "model", "show", BUNDLE),
}
"""Name to a package that its program loads, and how it is called."""


@pytest.mark.parametrize(
    ("name", "kind", "code", "line"),
    [
        ("SIGINT", "ImportError", 130, "interrupted"),
        ("SIGTERM", "ModuleNotFoundError", 143, "terminated"),
        ("SIGINT", "nothing", 130, "interrupted"),
        ("SIGHUP", "nothing", 129, "hung up"),
    ],
)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_that_falls_into_loading_ends_every_program(tmp_path, program, name, kind, code, line):
    (tmp_path / "in").mkdir()
    write_case(tmp_path / "in" / "case_0000.nii.gz")
    package, *words = PROGRAMS[program]
    call = [sys.executable, "-m", "tests.leanseg.struck_import", name, package, kind, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (code, "", 1), ran.stderr
    assert line in ran.stderr


SWALLOWS = """import contextlib, signal
with contextlib.suppress(BaseException):
    signal.raise_signal({})
while True:
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "words",
    [["predict.py"], *(["-m", name] for name in ("inference", "training", "eval", "model", "leanseg"))],
    ids=" ".join,
)
def test_a_program_that_has_not_begun_ends_at_once(tmp_path, words, number):
    """What it imports first would swallow an exception, here the standard library's argparse."""
    (tmp_path / "argparse.py").write_text(SWALLOWS.format(int(number)))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (128 + number, "", "")
