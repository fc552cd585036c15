"""A pool that breaks while it is filled: one clear error, and the program can still be interrupted."""

import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from eval.eval_errors import JudgingError
from eval.pool import side_by_side


def test_a_pool_that_breaks_early_leaves_signals_as_they_were(monkeypatch):
    def submit(*_):
        raise BrokenProcessPool("a process died")

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        with pytest.raises(JudgingError, match="lower --jobs"):
            list(side_by_side(abs, [-1, -2], jobs=2))
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
