"""Training loops side by side: their clock, LeanSeg's recipes, the order of the runs, medians and tables."""

import itertools
import json
import os
import sys

import pytest

from eval.benchmark.training_loops import loop_contest
from eval.benchmark.training_loops.leanseg_recipes import like_auto3dseg, like_nnunet
from eval.benchmark.training_loops.loop_clock import (
    LoopCall,
    LoopClock,
    _of_process,
    call_words,
    read_call,
)
from eval.benchmark.training_loops.loop_contest import Contest, Loop, check_nnunet, loops_of
from eval.benchmark.training_loops.loop_results import loop_entry, loops_table, parts_table
from eval.benchmark.training_loops.loop_setting import LoopSetting, write_setting
from eval.eval_errors import JudgingError
from model.networks.spec import SegResNetSpec
from tests.eval.command_line import assert_refused
from training.recipes.loading import load_recipe

SETTING = LoopSetting(patch=64, batch=2, width=32, warm_up=1, steps=2, threads=1, workers=1, device="cpu")


def step(wall_s, cpu_s, wait_s=0.0, **parts):
    """A step of a report; parts are CPU seconds, and a second of the thread's is none of them."""
    waited = {"wait": {"wall_s": wait_s, "cpu_s": 0.0}}
    worked = {name: {"wall_s": 9.0, "cpu_s": value} for name, value in parts.items()}
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "thread_s": sum(parts.values()) + 1,
        "parts": waited | worked,
    }


def record(*steps, precision="fp32", peak_mb=100.0):
    report = {"precision": precision, "patches": 2, "steps": steps}
    return {
        "exit_code": 0,
        "stopped": "",
        "wall_s": 60.0,
        "peak_mb": peak_mb,
        "others": 0.5,
        "report": report,
    }


def test_a_clock_tells_parts_steps_and_the_rest():
    # On the clock a second passes between two looks; processors work two, and the thread a half.
    clocks = (itertools.count().__next__, itertools.count(0, 2).__next__, itertools.count(0, 0.5).__next__)
    clock = LoopClock(lambda: None, clocks)
    for part in ("wait", "forward", "forward"):
        clock.mark(part)
    clock.end_step()
    one = {"wall_s": 1.0, "cpu_s": 0.5}
    assert clock.steps == [
        {
            "wall_s": 4,
            "cpu_s": 8,
            "thread_s": 2.0,
            "parts": {"wait": one, "forward": {"wall_s": 2.0, "cpu_s": 1.0}, "rest": one},
        }
    ]


def test_time_of_a_process_by_the_system():
    before, worked = _of_process(os.getpid()), os.times()
    assert before == pytest.approx(worked.user + worked.system, abs=0.1)
    assert _of_process(2**22 + 1) == 0.0  # beyond the largest number of a process


def test_a_peer_is_called_with_what_it_reads(tmp_path):
    write_setting(tmp_path / "setting.json", SETTING)
    call = LoopCall(
        setting=SETTING, precision="bf16", data=tmp_path, work=tmp_path / "w", report=tmp_path / "r.json"
    )
    assert read_call(call_words(call, tmp_path / "setting.json"), "a loop") == call


def test_a_networks_width_doubles_up_to_nnunets_widest():
    assert SETTING.features == [32, 64, 128, 256, 320]


@pytest.mark.parametrize(
    ("make", "weights"), [(like_nnunet, [4 / 7, 2 / 7, 1 / 7]), (like_auto3dseg, [1, 1 / 2, 1 / 4, 1 / 8])]
)
def test_leansegs_recipes_are_recipes(tmp_path, make, weights):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(make(SETTING)))
    recipe = load_recipe(str(path))
    assert recipe.patch_zyx == (64, 64, 64)
    assert recipe.sampling.patches == 2
    assert len(recipe.channel_names) == 15
    assert recipe.loss.weights_of(recipe.network.outputs) == pytest.approx(weights)
    assert [term.kind for term in recipe.loss.terms] == ["dice", "cross_entropy"]
    named = {name for name in ("rotation", "scaling", "flips", "noise", "blur", "brightness")}
    others = {"contrast", "low_resolution", "gamma", "inverted_gamma"}
    done = {name for name in named | others | {"elastic"} if getattr(recipe.augmentation, name) is not None}
    assert done == (named if isinstance(recipe.network, SegResNetSpec) else named | others)


def test_each_peer_runs_in_its_own_precision_in_fp32_and_on_the_cpu_in_bf16():
    ours = [Loop("leanseg", "auto"), Loop("leanseg", "fp32")]
    assert loops_of("nnunet", "cpu") == [*ours, Loop("nnunet", "fp32"), Loop("nnunet", "bf16")]
    assert loops_of("nnunet", "cuda") == [*ours, Loop("nnunet", "fp16"), Loop("nnunet", "fp32")]


def contest(tmp_path, rounds=2):
    pythons = {"nnunet": "/peer/python", "auto3dseg": sys.executable}
    return Contest(
        output=tmp_path, setting=SETTING, pythons=pythons, rounds=rounds, timeout_s=9.0, say=lambda line: None
    )


def test_all_loops_run_in_turn_round_after_round(tmp_path, monkeypatch):
    ran = []

    def do(task, timeout_s):
        ran.append(task)
        bad = task.name == "nnunet-nnunet-bf16-1"
        return record(step(1.0, 1.0)) | ({"exit_code": 1} if bad else {})

    monkeypatch.setattr(loop_contest, "do", do)
    assert contest(tmp_path).run_all() is False
    loops = [
        f"{peer}-{loop}"
        for peer in ("nnunet", "auto3dseg")
        for loop in ("leanseg-auto", "leanseg-fp32", f"{peer}-fp32", f"{peer}-bf16")
    ]
    assert [task.name for task in ran] == [f"{loop}-{number}" for number in (0, 1) for loop in loops]
    ours, peer = ran[0].command, ran[2].command
    assert ours[:4] == [sys.executable, "-m", "training", "train"]
    assert ours[ours.index("--steps") + 1] == "3"  # one to warm up, two that count
    assert peer[:3] == ["/peer/python", "-m", "eval.benchmark.training_loops.nnunet_loop"]


def test_medians_over_the_last_steps_of_all_runs():
    warm_up = step(90.0, 90.0, wait_s=9.0, forward=90.0, loss=90.0)
    runs = [
        record(warm_up, step(4.0, 5.0, wait_s=0.5, forward=1.0, loss=1.0, backward=1.0), peak_mb=100.0),
        record(warm_up, step(6.0, 7.0, wait_s=1.5, forward=3.0, loss=2.0, backward=3.0), peak_mb=200.0),
    ]
    entry = loop_entry("nnunet", "leanseg", runs, steps=1)
    assert (entry.runs, entry.steps, entry.patches, entry.precision) == (2, 2, 2, "fp32")
    assert (entry.wall_s, entry.cpu_s, entry.wait_s, entry.peak_mb) == (5.0, 6.0, 1.0, 150.0)
    assert entry.thread_s == 6.5  # of 4 and 9
    assert entry.parts_s == {"forward": 2.0, "loss": 1.5, "backward": 2.0, "rest": 1.0}
    assert entry.thread_patches_per_s == pytest.approx(2 / 6.5)
    assert entry.outside == pytest.approx(2.5 / 6.5)


def test_tables_compare_with_the_first_loop_of_the_same_comparison():
    fast = record(step(2.0, 2.0, forward=1.0), precision="bf16")
    slow = record(step(5.0, 8.0, wait_s=0.25, forward=3.0))
    entries = [
        loop_entry("nnunet", "leanseg", [fast], steps=1),
        loop_entry("nnunet", "nnunet", [slow], steps=1),
        loop_entry("auto3dseg", "leanseg", [slow], steps=1),
    ]
    rows = [line.strip("| ").split(" | ") for line in loops_table(entries).splitlines()]
    assert rows[2][:3] == ["nnunet", "leanseg", "bf16"]
    assert rows[2][5:11] == ["1.00", "1.00", "1.00", "1.00", "1.00", "1.00"]
    assert rows[3][5:11] == ["0.40", "2.50", "4.00", "4.00", "0.50", "2.00"]
    assert rows[4][6] == "1.00"
    parts = [line.strip("| ").split(" | ") for line in parts_table(entries).splitlines()]
    assert parts[3] == ["nnunet", "nnunet", "fp32", *["", "3000", "", "", "", "1000"], "25.0%", "4000", "250"]


def test_an_interpreter_without_nnunet_is_refused(tmp_path):
    with pytest.raises(JudgingError, match=r"no such python: cannot be started .*pip install nnunetv2"):
        check_nnunet(tmp_path / "no such python")
    with pytest.raises(JudgingError, match="has no nnU-Net v2; python3 -m venv"):
        check_nnunet(sys.executable)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--output"),
        (("--output", "a file"), "is a file; give a folder with --output"),
        (("--output", "out", "--patch", "40"), "--patch: must be a multiple of 16, is 40"),
        (("--output", "out", "--warm-up", "0"), "--warm-up: must be 1 or more"),
        (("--output", "out", "--against", "nnunet"), "--nnunet-python FILE"),
        (("--output", "out", "--against", "me"), "me"),
    ],
)
def test_calls_that_are_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    against = [] if "--against" in words else ["--against", "auto3dseg"]
    assert_refused(capsys, ("benchmark", "training", *words, *against), said)
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
