"""How each check of the ladder ends, on a machine that is made up; see `fake_gpu_runs` for its figures."""

import numpy as np
import pytest

from eval.benchmark.gpu_check.bundle_networks import read_networks
from eval.benchmark.gpu_check.rungs import Ending
from eval.eval_errors import JudgingError
from tests.eval.benchmark.gpu_check.fake_gpu_runs import FakeGpuRuns, write_bundle


def endings(rungs):
    return {key: str(rung.ending) for key, rung in rungs.items()}


def test_all_that_can_pass_passes(climb):
    networks = [
        (f"networks on {library}", f"mine: {network}")
        for library, precisions in (("CUDA", ("fp32", "fp16")), ("TensorRT", ("fp16",)))
        for network in [*(f"member, {precision}" for precision in precisions), "localization, fp32"]
    ]
    whole = [
        ("cold start", "mine, first run"),
        ("cold start", "mine, second run"),
        ("GPU memory over time", "mine"),
        *(("peak GPU memory", f"mine, {budget} MiB") for budget in (4096, 3072, 2048)),
        ("labels, fp32", "mine"),
        ("labels, fp16", "mine"),
    ]
    rungs = climb(FakeGpuRuns())
    expected = [("providers", "onnxruntime"), *networks[:3], *whole, ("container", "leanseg:latest")]
    assert list(rungs) == [*expected, *networks[3:]]
    ended = endings(rungs)
    assert ended.pop(("container", "leanseg:latest")) == "skipped"
    assert set(ended.values()) == {"passed"}


def test_what_is_run(climb):
    runs = FakeGpuRuns()
    climb(runs)
    calls = {task.name: " ".join(task.command[1:]) for task in runs.tasks}
    # The member's axes are L, P, S: its window of 16×24×32 (z, y, x) is given as 32×24×16.
    assert "member.fp16.onnx --on CUDAExecutionProvider" in calls["cuda-mine-member-fp16"]
    assert "mine/member.onnx --shape 1 1 32 24 16" in calls["cuda-mine-member-fp16"]
    assert calls["cuda-mine-member-fp16"].endswith("--fp16 --unit-scaled")
    assert "--fp16" not in calls["cuda-mine-member-fp32"]
    assert "--device cuda --precision auto --gpu-memory-mb 2048" in calls["engine-mine-2048-mib"]
    assert "--device cuda --precision fp32 --gpu-memory-mb 4096" in calls["engine-mine-fp32"]
    assert "--device cpu --precision fp32" in calls["engine-mine-cpu"]
    assert {task.gpu for task in runs.tasks} == {"0"}


def test_figures_are_those_of_the_runs(climb):
    rungs = climb(FakeGpuRuns())
    assert rungs["providers", "onnxruntime"].figures == {
        "onnxruntime": "1.31.1",
        "installed": "Tensorrt, CUDA, CPU",
        "loaded": "CUDA, CPU",
        "import s": "0.50",
        "first session s": "1.25",
    }
    # 2 s on the clock, of which the stages take 1.625.
    assert rungs["cold start", "mine, first run"].figures == {
        "wall s": "2.00",
        "start s": "0.38",
        "read s": "0.25",
        "localize s": "0.50",
        "networks s": "0.75",
        "write s": "0.12",
    }
    # It rises to 1200 MiB in the first second, 600 MiB·s, and stays for another, 1200; the device holds 300
    # more for all of the 2 s. Organisers count each of the three samples for 0.1 s: (300 + 1500 + 1500) / 10.
    assert rungs["GPU memory over time", "mine"].figures == {
        "wall s": "2.0",
        "device, before MB": "300",
        "device MB·s": "2400",
        "device MB·s, as organisers sum": "330",
        "its own MB·s": "1800",
    }
    assert rungs["peak GPU memory", "mine, 3072 MiB"].figures == {
        "planned MiB": "1500",
        "peak MiB": "1200",
        "peak / plan": "0.80",
        "windows": "16×24×32",
        "wall s": "2.0",
    }
    assert rungs["labels, fp16", "mine"].figures == {
        "Dice of all labels": "1.00000",
        "mean Dice": "1.00000 (2 labels)",
        "voxels that differ": "0 of 3 labelled",
    }


@pytest.mark.parametrize(
    ("peak_mb", "why"),
    [
        (1600.0, "held 1600 MiB, 100 more than planned"),
        (2100.0, "held 2100 MiB of 2048"),
        (None, "the driver gave no samples of the GPU's memory"),
    ],
)
def test_a_peak_above_the_plan_fails(climb, peak_mb, why):
    rungs = climb(FakeGpuRuns(peaks_mb={"2048-mib": peak_mb}))
    assert {key for key, rung in rungs.items() if rung.ending is Ending.FAILED} == {
        ("peak GPU memory", "mine, 2048 MiB")
    }
    assert rungs["peak GPU memory", "mine, 2048 MiB"].said == why


def test_a_plan_that_did_not_hold_fails_though_the_run_ended_well(climb):
    runs = FakeGpuRuns()
    runs.warnings["3072-mib"] = ["does not fit; trying once more with a smaller plan", "few slices"]
    rung = climb(runs)["peak GPU memory", "mine, 3072 MiB"]
    assert (rung.ending, rung.said) == (
        Ending.FAILED,
        "ran out of memory: does not fit; trying once more with a smaller plan",
    )


def test_a_budget_that_is_refused_is_no_fault(climb):
    line = "ct.nii.gz: the memory budget cannot be kept; at least needed: GPU memory 2300 MiB"
    rung = climb(FakeGpuRuns(fails={"2048-mib": line}))["peak GPU memory", "mine, 2048 MiB"]
    assert (rung.ending, rung.said) == (Ending.SKIPPED, "refused, at least needed: GPU memory 2300 MiB")


def test_labels_that_differ_too_much_fail(climb):
    """1 1 2 0 on the CPU; 1 2 2 0 on the GPU: two of three labelled voxels have the same label."""
    rungs = climb(FakeGpuRuns(labels={"engine-mine-fp32": np.array([[[1, 2, 2, 0]]], np.uint8)}))
    rung = rungs["labels, fp32", "mine"]
    assert (rung.ending, rung.said) == (Ending.FAILED, "0.6667 of the labels agree, at least 0.999 must")
    # Each of both structures: 2·1 / (1 + 2).
    assert rung.figures["mean Dice"] == "0.66667 (2 labels)"
    assert rung.figures["voxels that differ"] == "1 of 3 labelled"
    assert rungs["labels, fp16", "mine"].ending is Ending.PASSED


def test_labels_of_other_windows_are_not_compared(climb):
    rung = climb(FakeGpuRuns(plans={"engine-mine-first": {"windows_zyx": [[8, 8, 8]]}}))[
        "labels, fp16", "mine"
    ]
    assert rung.ending is Ending.SKIPPED
    assert rung.said == "windows of 8×8×8, on the CPU 16×24×32: other labels"


def test_without_the_labels_of_the_cpu_none_are_compared(climb):
    rungs = climb(FakeGpuRuns(fails={"engine-mine-cpu": "out of memory"}))
    for precision in ("fp32", "fp16"):
        rung = rungs[f"labels, {precision}", "mine"]
        assert (rung.ending, rung.said) == (Ending.SKIPPED, "no labels of the CPU: out of memory")


def test_a_bundle_without_fp16_skips_it(climb, tmp_path):
    plan = {"precisions": {"member.onnx": "fp32"}}
    rungs = climb(FakeGpuRuns(plans={"engine": plan}), bundle=write_bundle(tmp_path / "plain", fp16=False))
    rung = rungs["labels, fp16", "plain"]
    assert (rung.ending, rung.said) == (Ending.SKIPPED, "the bundle has no fp16 files; computed in fp32")
    assert ("networks on CUDA", "plain: member, fp16") not in rungs
    assert rungs["networks on TensorRT", "plain: member, fp32"].ending is Ending.PASSED


def test_a_run_that_went_to_another_device_fails(climb):
    rungs = climb(FakeGpuRuns(plans={"engine-mine-second": {"backend": "openvino"}}))
    rung = rungs["cold start", "mine, second run"]
    assert (rung.ending, rung.said) == (Ending.FAILED, "ran on openvino, not on cuda")


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"largest_difference": 0.002}, "logits differ by 0.002, at most 0.001 is right"),
        ({"agreement": 0.99}, "1.00% of voxels get another channel, at most 0.10% is right"),
        ({"largest_difference": float("nan")}, "logits differ by nan, at most 0.001 is right"),
    ],
)
def test_networks_that_compute_something_else_fail(climb, figures, why):
    rungs = climb(FakeGpuRuns(networks={"cuda-mine-member-fp32": figures}))
    rung = rungs["networks on CUDA", "mine: member, fp32"]
    assert (rung.ending, rung.said) == (Ending.FAILED, why)


def test_fp16_may_round(climb):
    figures = {"largest_difference": 0.04, "agreement": 0.985}
    rungs = climb(FakeGpuRuns(networks={"cuda-mine-member-fp16": figures}))
    assert rungs["networks on CUDA", "mine: member, fp16"].ending is Ending.PASSED


def test_where_cuda_does_not_load_nothing_else_is_tried_but_the_container(climb):
    line = "onnxruntime 1.31.1 is installed without CUDAExecutionProvider"
    runs = FakeGpuRuns(fails={"cuda": line}, exit_codes={"cuda": 3})
    rungs = climb(runs)
    assert endings(rungs) == {
        ("providers", "onnxruntime"): "failed",
        ("networks and whole runs", "mine"): "skipped",
        ("container", "leanseg:latest"): "skipped",
    }
    assert rungs["providers", "onnxruntime"].said == line
    assert len(runs.tasks) == 1


def test_without_tensorrt_one_line_says_so(climb):
    runs = FakeGpuRuns(fails={"tensorrt": "TensorRT is not there"}, exit_codes={"tensorrt": 3})
    rungs = climb(runs)
    assert [(key[1], rung.said) for key, rung in rungs.items() if "TensorRT" in key[0]] == [
        ("mine", "not installed: TensorRT is not there")
    ]
    assert sum("tensorrt" in task.name for task in runs.tasks) == 1


def test_tensorrt_that_fails_is_a_failure(climb):
    rungs = climb(FakeGpuRuns(fails={"tensorrt-mine-member": "no engine"}))
    rung = rungs["networks on TensorRT", "mine: member, fp16"]
    assert (rung.ending, rung.said) == (Ending.FAILED, "no engine")


def test_what_the_time_does_not_reach_is_skipped(climb):
    """Ten seconds for all, of which every program takes two: three are run, since 5 s must be left."""
    now = [0.0]
    runs = FakeGpuRuns()

    def slow(task, seconds):
        assert seconds <= 10.0 - now[0]
        now[0] += 2.0
        return runs(task, seconds)

    rungs = climb(slow, limit_s=10.0, clock=lambda: now[0])
    assert [task.name for task in runs.tasks] == [
        "cuda-mine-localization-fp32",
        "cuda-mine-member-fp32",
        "cuda-mine-member-fp16",
    ]
    late = rungs["cold start", "mine, first run"]
    assert (late.ending, late.said) == (Ending.SKIPPED, "the 10 s were over")
    assert endings(rungs)["container", "leanseg:latest"] == "skipped"


def test_a_time_that_is_over_at_once_is_no_fault_of_the_gpu(climb):
    runs = FakeGpuRuns()
    rungs = climb(runs, limit_s=3.0, clock=lambda: 0.0)
    assert set(endings(rungs).values()) == {"skipped"}
    assert rungs["providers", "onnxruntime"].said == "the 3 s were over"
    assert runs.tasks == []


@pytest.mark.parametrize(
    ("took_s", "ending", "why"),
    [(150.0, Ending.FAILED, "longer than 150 s"), (100.0, Ending.SKIPPED, "the 400 s were over")],
)
def test_what_hangs_fails_and_what_the_end_of_the_time_stops_does_not(climb, took_s, ending, why):
    """The run in fp32 on the GPU begins after 200 or 300 s of 400, may take 150 s, and does not end."""
    now = [0.0]
    runs = FakeGpuRuns()

    def slow(task, seconds):
        record = runs(task, seconds)
        if "engine-mine-cpu" in task.name:
            now[0] = 200.0 if took_s == 150.0 else 300.0
        if "engine-mine-fp32" not in task.name:
            return record
        assert seconds == took_s
        now[0] += seconds
        return record | {"exit_code": -9, "stopped": f"longer than {seconds:.0f} s"}

    rung = climb(slow, limit_s=400.0, clock=lambda: now[0])["labels, fp32", "mine"]
    assert (rung.ending, rung.said) == (ending, why)


def test_a_bundle_of_more_images_than_the_ct_has(climb, tmp_path):
    bundle = write_bundle(tmp_path / "two", channels=2)
    rung = climb(FakeGpuRuns(), bundle=bundle)["whole runs", "two"]
    assert rung.ending is Ending.SKIPPED
    assert rung.said == "takes 2 images a case, the CT has 1; give one with --image"
    # What lies in a folder, predict.py finds out.
    assert ("cold start", "two, first run") in climb(FakeGpuRuns(), bundle=bundle, channels=None)


@pytest.mark.parametrize(
    ("text", "why"), [("{", "cannot be read"), ("{}", "lacks 'inputs'"), (None, "cannot be read")]
)
def test_a_folder_that_is_no_bundle_is_refused(tmp_path, text, why):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(JudgingError, match=why):
        read_networks(tmp_path)
