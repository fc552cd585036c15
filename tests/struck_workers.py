"""Signals of a terminal that reach a process while it starts, before any code of ours runs in it."""

import os
import signal
from multiprocessing.process import BaseProcess

import pytest

OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)


def strike_at_start(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Send a signal to each process that is started from now on, as soon as it is there."""
    start = BaseProcess.start

    def start_and_strike(process: BaseProcess) -> None:
        start(process)
        assert process.pid is not None
        os.kill(process.pid, number)

    monkeypatch.setattr(BaseProcess, "start", start_and_strike)
