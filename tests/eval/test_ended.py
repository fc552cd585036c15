"""Judging that a batch system ends: workers and unfinished files go with it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests.eval.made import organs, write
from tests.places import ROOT


@pytest.mark.slow
def test_sigterm_leaves_no_worker_and_no_unfinished_report(tmp_path):
    labels = organs(np.random.default_rng(0), 4, (40, 64, 64))
    for number in range(12):
        for folder in ("truth", "pred"):
            write(tmp_path / folder / f"case_{number}.nii.gz", labels)
    words = ["score", "--pred", "pred", "--truth", "truth", "--labels", "flare21", "--jobs", "2"]
    command = [sys.executable, "-m", "eval", *words, "--output", "scores.csv"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    patience = time.monotonic() + 60
    while len(workers := psutil.Process(process.pid).children(recursive=True)) < 2:
        assert time.monotonic() < patience
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "terminated; only whole files were written\n")
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pred", "truth"]
