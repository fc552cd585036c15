"""The section of a page that a GPU benchmark fills, from figures made up."""

from eval.benchmark.gpu_section import failures, section
from tests.eval.benchmark.measured_gpu import engine, measured, steps


def test_the_section_has_the_machine_and_a_row_for_everything():
    text = section(measured())
    assert text.startswith(
        "A GPU, 16000 MiB, CUDA 13.0; 8 cores of A CPU; revision abc1234; `make gpu-benchmark`.\n"
    )
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2] == (
        "| mine | 5.65 | 32×128×192 | 2 | bf16 | 5 | 0.400 | 0.001 | 0.002 | 0.100 | 0.020 | 0.200 | 0.077 | "
        "3000 | 2000 |"
    )
    assert rows[3].startswith("| large | CUDA out of memory |")
    assert "`mine`, 1000 steps from cold start to checkpoint: 30.0 s; export to a bundle: 12.0 s." in text
    assert rows[6] == ("| embedded | 512×512×300 | 3 | onnxruntime-cuda | fp16 | 4.2 | 1500 | 6000 | 900 |")
    assert rows[7].startswith("| trained here | 512×512×300 | no CUDA |")
    assert len({row.count("|") for row in rows[:4]}) == len({row.count("|") for row in rows[4:]}) == 1


def test_without_a_gpu_its_columns_are_empty_and_the_section_says_so():
    tried = {
        "steps": [steps(gpu_peak_mb=None)],
        "engine": [{**engine(), "gpu_peak_mb": None, "gpu_mb_s": None}],
    }
    text = section(measured(gpu_measured=False, **tried))
    assert text.startswith("no GPU, to try the program; 8 cores of A CPU")
    assert "| 0.077 |  | 2000 |" in text
    assert "| 4.2 |  |  | 900 |" in text


def test_no_line_is_too_wide_but_those_of_tables():
    long = {"wall_s": 1.0, "failed": "a reason of many words " * 9}
    training = {"recipe": "mine", "steps": 1, "run": long, "export": long}
    lines = section(measured(training=training)).splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 110


def test_all_that_failed_is_listed():
    assert failures(measured()) == ["steps of large: CUDA out of memory", "engine, trained here: no CUDA"]
