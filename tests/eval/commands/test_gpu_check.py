"""`gpu-check` on a machine with a GPU that is made up, and where there is none."""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eval.benchmark.gpu_check import container_rung, timed_programs
from eval.benchmark.page_markers import markers
from eval.commands import gpu_check
from tests.eval import fake_nvml, no_nvml
from tests.eval.benchmark.gpu_check.fake_gpu_runs import FakeGpuRuns, write_bundle
from tests.eval.command_line import assert_refused, call, files_in
from tests.eval.made import write

BEGIN, END = markers("gpu-check")
PAGE = f"# Page\n\n{BEGIN}\n\nNot measured.\n\n{END}\n"


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The words of a call on a machine with a GPU, without docker, that checks one small bundle on a CT."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml)
    memory = SimpleNamespace(total=8192 << 20, free=7168 << 20)
    monkeypatch.setattr(fake_nvml, "nvmlDeviceGetMemoryInfo", lambda device: memory)
    monkeypatch.setattr(gpu_check, "EMBEDDED", write_bundle(tmp_path / "mine"))
    monkeypatch.setattr(container_rung.shutil, "which", lambda name: None)
    monkeypatch.setattr(timed_programs, "do", FakeGpuRuns())
    ct = write(tmp_path / "ct_0000.nii.gz", np.zeros((1, 1, 4), np.uint8))
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    page = ("--page", tmp_path / "page.md")
    return ("gpu-check", "--output", tmp_path / "out", "--image", ct, *page)


def test_the_page_is_printed_and_written(words, tmp_path, capsys):
    assert call(*words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("NVIDIA Fake 8, 8192 MiB, driver 580.65.06; ")
    # Providers, two networks of which one has fp16, eight checks of whole runs, two on TensorRT.
    assert "14 passed, 0 failed, 1 skipped." in " ".join(out.splitlines())
    assert "skipped: container, leanseg:latest: there is no docker command\n" in err
    assert (tmp_path / "out" / "gpu-check.md").read_text(encoding="utf-8") == out
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == f"# Page\n\n{BEGIN}\n\n{out}\n{END}\n"
    rungs = json.loads((tmp_path / "out" / "gpu-check.json").read_text(encoding="utf-8"))["rungs"]
    assert rungs[0]["ending"] == "passed"
    assert rungs[0]["figures"]["loaded"] == "CUDA, CPU"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_what_failed_ends_with_1(words, monkeypatch, capsys):
    monkeypatch.setattr(timed_programs, "do", FakeGpuRuns(peaks_mb={"2048-mib": 2500.0}))
    assert call(*words) == 1
    out = capsys.readouterr().out
    assert "| peak GPU memory | mine, 2048 MiB | **failed** | held 2500 MiB of 2048 |" in out


def test_bundles_are_checked_beside_the_embedded_one(words, tmp_path, capsys):
    assert call(*words, "--bundle", write_bundle(tmp_path / "yours")) == 0
    out = capsys.readouterr().out
    assert all(f"| labels, fp16 | {name} | passed |" in out for name in ("mine", "yours"))


def test_two_bundles_of_one_name_are_refused(words, tmp_path, capsys):
    other = write_bundle(tmp_path / "elsewhere" / "mine")
    assert_refused(capsys, (*words, "--bundle", other), "two bundles lie in folders called mine")


def test_without_a_gpu_nothing_is_done_and_one_line_says_so(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pynvml", no_nvml)
    before = files_in(tmp_path)
    assert_refused(capsys, words, "the check needs an NVIDIA GPU: GPU 0 cannot be watched: no NVIDIA driver")
    assert files_in(tmp_path) == before


def test_a_gpu_that_is_lost_is_told_in_one_line(words, monkeypatch, capsys):
    def lost(device):
        raise fake_nvml.NVMLError("GPU is lost")

    monkeypatch.setattr(fake_nvml, "nvmlDeviceGetMemoryInfo", lost)
    assert_refused(capsys, words, "the driver does not say what the GPU is: GPU is lost")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--bundle", "none"), "none/manifest.json: cannot be read"),
        (("--image", "none.nii.gz"), "none.nii.gz: no such file or folder"),
        (("--limit", "0"), "--limit is 0, must be more than 0 s"),
        (("--page", "none.md"), "none.md"),
        (("--gpu", "7"), "GPU 7 cannot be watched"),
    ],
)
def test_wrong_calls_are_refused_before_anything_runs(words, tmp_path, capsys, more, said):
    before = files_in(tmp_path)
    assert_refused(capsys, (*words, *more), said)
    assert files_in(tmp_path) == before
