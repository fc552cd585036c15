"""The ladder on a machine that is made up; see `fake_gpu_runs` for its figures."""

import time

import numpy as np
import pytest

from eval.benchmark.gpu_check import container_rung, timed_programs
from eval.benchmark.gpu_check.bundle_networks import read_networks
from eval.benchmark.gpu_check.ladder import Ladder
from eval.benchmark.gpu_check.timed_programs import TimedPrograms
from tests.eval.benchmark.gpu_check.fake_gpu_runs import write_bundle
from tests.eval.made import write


@pytest.fixture
def climb(tmp_path, monkeypatch):
    """Climbs the ladder with one bundle, where there is no docker; the value is rungs by check and object."""
    monkeypatch.setattr(container_rung.shutil, "which", lambda name: None)
    ct = write(tmp_path / "ct_0000.nii.gz", np.zeros((1, 1, 4), np.uint8))

    def climbed(runs, *, limit_s=600.0, clock=time.monotonic, bundle=None, ct=ct, channels=1):
        monkeypatch.setattr(timed_programs, "do", runs)
        folder = bundle or tmp_path / "mine"
        if not folder.exists():
            write_bundle(folder)
        ladder = Ladder(
            programs=TimedPrograms(
                folder=tmp_path / "runs", gpu="0", limit_s=limit_s, clock=clock, say=[].append
            ),
            bundles=[read_networks(folder)],
            ct=ct,
            channels=channels,
            container="leanseg:latest",
            output=tmp_path,
        )
        return {(rung.check, rung.of): rung for rung in ladder.climb()}

    return climbed
