"""How the check of a container ends, with docker and a clock that are made up."""

import numpy as np
import pytest

from eval.benchmark.gpu_check import container_rung
from eval.benchmark.gpu_check.rungs import Ending
from eval.eval_errors import JudgingError
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.trace import GPU, OWN_RAM, Trace
from tests.eval.benchmark.gpu_check.fake_gpu_runs import FakeGpuRuns


@pytest.mark.parametrize(
    ("status", "added_mb", "ending", "why"),
    [
        (Status.OK, 1200.0, Ending.PASSED, ""),
        (Status.OK, 3.0, Ending.FAILED, "did not use the GPU, whose memory grew by 3 MiB"),
        (Status.TIMEOUT, 1200.0, Ending.FAILED, "timeout: too slow"),
    ],
)
def test_the_container_must_use_the_gpu(climb, monkeypatch, status, added_mb, ending, why):
    given = []

    def run_case(case, options):
        given.append((case.output.name, options.gpu, options.image))
        values = {GPU: np.array([300.0, 300.0 + added_mb]), OWN_RAM: np.array([np.nan, 900.0])}
        trace = Trace(times_s=np.array([-0.5, 1.0]), values=values, duration_s=2.0)
        return CaseEfficiency(name="ct", status=status, exit_code=0, remark="too slow", trace=trace)

    monkeypatch.setattr(container_rung.shutil, "which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(container_rung, "check_image", lambda image: "sha256:1")
    monkeypatch.setattr(container_rung, "run_case", run_case)
    rung = climb(FakeGpuRuns())["container", "leanseg:latest"]
    assert given == [("ct.nii.gz", "0", "leanseg:latest")]
    assert (rung.ending, rung.said) == (ending, why)
    assert rung.figures["GPU MiB added"] == f"{added_mb:.0f}"


@pytest.mark.parametrize(
    ("start_s", "limit_s", "ending", "why"),
    [
        (400.0, 150.0, Ending.FAILED, "timeout: stopped"),
        (500.0, 100.0, Ending.SKIPPED, "the 600 s were over"),
    ],
)
def test_a_container_that_hangs_fails_and_one_that_the_end_of_the_time_stops_does_not(
    climb, monkeypatch, start_s, limit_s, ending, why
):
    """It begins when so many of 600 s are over, may take 150 s, and does not end."""
    now = [0.0]

    def run_case(case, options):
        assert options.limit_s == limit_s
        now[0] += options.limit_s
        trace = Trace(
            times_s=np.array([-0.5, 1.0]),
            values={name: np.array([300.0, 300.0]) for name in (GPU, OWN_RAM)},
            duration_s=options.limit_s,
        )
        return CaseEfficiency(name="ct", status=Status.TIMEOUT, exit_code=None, remark="stopped", trace=trace)

    def check_image(image):
        now[0] = start_s

    monkeypatch.setattr(container_rung.shutil, "which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(container_rung, "check_image", check_image)
    monkeypatch.setattr(container_rung, "run_case", run_case)
    rung = climb(FakeGpuRuns(), clock=lambda: now[0])["container", "leanseg:latest"]
    assert (rung.ending, rung.said) == (ending, why)


def test_an_image_that_docker_lacks_is_skipped_and_one_that_it_cannot_start_fails(climb, monkeypatch):
    def refuse(*_):
        raise JudgingError("no runtime for GPUs")

    monkeypatch.setattr(container_rung.shutil, "which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(container_rung, "check_image", lambda image: "sha256:1")
    monkeypatch.setattr(container_rung, "run_case", refuse)
    rung = climb(FakeGpuRuns())["container", "leanseg:latest"]
    assert (rung.ending, rung.said) == (Ending.FAILED, "no runtime for GPUs")
    monkeypatch.setattr(container_rung, "check_image", refuse)
    assert climb(FakeGpuRuns())["container", "leanseg:latest"].ending is Ending.SKIPPED


def test_a_container_takes_no_other_file(climb, tmp_path):
    rung = climb(FakeGpuRuns(), ct=tmp_path / "ct.mha")["container", "leanseg:latest"]
    assert (rung.ending, rung.said) == (Ending.SKIPPED, "takes .nii.gz files, the CT is ct.mha")
