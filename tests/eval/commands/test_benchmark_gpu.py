"""`benchmark gpu` fills its section of a page, or says in one line that there is no GPU."""

import json
import os

import pytest

from eval.benchmark import one_gpu
from eval.benchmark.page_markers import markers
from eval.commands import benchmark_gpu
from tests.eval.benchmark.measured_gpu import engine, measured, steps
from tests.eval.command_line import assert_refused, call, files_in

BEGIN, END = markers("gpu-benchmark")
PAGE = f"# Page\n\n{BEGIN}\n\nNot measured.\n\n{END}\n"
WELL = {"steps": [steps()], "engine": [engine()]}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def with_gpu(monkeypatch, found):
    """A machine with a GPU on which this was measured."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(one_gpu, "why_no_gpu", lambda gpu: None)
    monkeypatch.setattr(benchmark_gpu.GpuRuns, "collect", lambda _: found)


def test_the_section_is_printed_and_written_into_the_page(monkeypatch, tmp_path, page, capsys):
    with_gpu(monkeypatch, measured(**WELL))
    assert call("benchmark", "gpu", "--output", tmp_path / "out", "--page", page, "--gpu", "3") == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    out = capsys.readouterr().out
    assert out.startswith("A GPU, 16000 MiB")
    assert page.read_text(encoding="utf-8") == f"# Page\n\n{BEGIN}\n\n{out}\n{END}\n"
    assert json.loads((tmp_path / "out" / "gpu-benchmark.json").read_text(encoding="utf-8")) == measured(
        **WELL
    )


def test_what_failed_ends_with_1_and_stands_in_the_page(monkeypatch, tmp_path, page, capsys):
    with_gpu(monkeypatch, measured())
    assert call("benchmark", "gpu", "--output", tmp_path / "out", "--page", page) == 1
    assert "failed: steps of large: CUDA out of memory\n" in capsys.readouterr().err
    assert "| large | CUDA out of memory |" in page.read_text(encoding="utf-8")


def test_without_a_gpu_nothing_is_done_and_one_line_says_so(monkeypatch, tmp_path, page, capsys):
    monkeypatch.setattr(one_gpu, "why_no_gpu", lambda gpu: f"GPU {gpu} cannot be watched")
    words = ("benchmark", "gpu", "--output", tmp_path / "out", "--page", page)
    assert_refused(capsys, words, "needs an NVIDIA GPU: GPU 0 cannot be watched")
    assert files_in(tmp_path) == ["page.md"]
    assert page.read_text(encoding="utf-8") == PAGE


def test_a_page_without_the_markers_is_refused_before_anything_runs(monkeypatch, tmp_path, page, capsys):
    page.write_text("# Page\n", encoding="utf-8")
    with_gpu(monkeypatch, None)
    assert_refused(
        capsys, ("benchmark", "gpu", "--output", tmp_path / "out", "--page", page), "the page must"
    )


@pytest.mark.slow
def test_the_whole_of_it_on_a_cpu(tmp_path, page, capsys):
    words = ("benchmark", "gpu", "--output", tmp_path / "out", "--page", page, "--device", "cpu")
    assert call(*words) == 0
    text = page.read_text(encoding="utf-8")
    rows = (
        "| flare22-efficient-tiny | 0.24 |",
        "| embedded | 512×512×20 | 1 |",
        "| trained here | 512×512×20 | 1 |",
    )
    for row in rows:
        assert row in text
    assert call(*words) == 0  # What was measured is not measured again.
