"""Runs that are killed, lose a file or find no room: one line, a usable checkpoint, and the same bits after.

Each fault happens to a real process of its own.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from tests.places import ROOT
from tests.training.run_logs import learned
from tests.training.tiny import DOCUMENT
from training.__main__ import main
from training.runs import loop
from training.runs import step as step_module
from training.runs.checkpoints import load_checkpoint
from training.runs.log import read_log
from training.runs.run_files import BEST, LAST, LOG

STEPS = 12
KILLED = """
import os, signal, sys, threading
import torch
from leanseg import atomic_files
from training.__main__ import main
from training.runs import checkpoints, loop

torch.set_num_threads(1)
moment, kills = int(sys.argv[1]), []

def count():
    # Moments are counted: before and after each step, and inside each save.
    kills.append(1)
    if len(kills) == moment:
        os.kill(os.getpid(), signal.SIGKILL)

step, flush = loop.training_step, checkpoints.flush
def counted_step(*arguments):
    count()
    loss = step(*arguments)
    count()
    return loss
def counted_flush(path):
    count()
    flush(path)
    count()
loop.training_step, checkpoints.flush, atomic_files.flush = counted_step, counted_flush, counted_flush
sys.exit(main(sys.argv[2:]))
"""
MOMENTS = 2 * STEPS + 4 * STEPS // 2 + 4
"""At least: two in each step, four in each save, and one best checkpoint."""
DRAWN = np.random.default_rng(8).integers(1, MOMENTS, 8).tolist()
RANDOM = [*DRAWN[:2], *(pytest.param(moment, marks=pytest.mark.slow) for moment in DRAWN[2:])]
LITTLE_ROOM = """
import resource, sys
import torch
torch.set_num_threads(1)
from training.__main__ import main
from training.runs import loop

step = loop.training_step
def limited(run, number, batch):
    if number == 5:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    return step(run, number, batch)
loop.training_step = limited
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    changed = {
        "checkpoint_every_steps": 2,
        "stopping": {"kind": "fixed_steps", "steps": STEPS},
        "validation": {"every_steps": 6, "cases": 1},
        "ema": {"decay": 0.9},
    }
    path.write_text(yaml.safe_dump({**DOCUMENT, **changed}))
    return path


@pytest.fixture(scope="module")
def words(recipe, cubes):
    def call(output, *more, data=cubes):
        words = ["train", recipe, "--data", data, "--output", output, "--validation", cubes, "--seed", 4]
        return [*map(str, words), "--device", "cpu", "--precision", "fp32", *more]

    return call


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(folder)) == 0
    return folder


def ran(code, *words):
    call = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(call, capture_output=True, cwd=ROOT, check=False, text=True)


def assert_same_run(folder, whole):
    for name in (LAST, BEST):
        (found, info), (expected, wanted) = (load_checkpoint(place / name) for place in (folder, whole))
        assert info == wanted
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert learned(folder) == learned(whole)


@pytest.mark.parametrize("moment", RANDOM)
def test_sigkill_at_a_random_moment(words, whole, tmp_path, moment):
    """Before, between or within saves; `--resume auto` goes on, or starts where nothing was written."""
    killed = ran(KILLED, moment, *words(tmp_path))
    assert killed.returncode == -9, killed.stderr
    assert main(words(tmp_path, "--resume", "auto")) == 0
    assert_same_run(tmp_path, whole)


def test_a_file_that_cannot_grow_ends_the_run_in_one_line_and_leaves_the_last_checkpoint(
    words, whole, tmp_path
):
    full = ran(LITTLE_ROOM, *words(tmp_path))
    assert full.returncode == 1, full.stderr
    error = full.stderr.splitlines()[-1]
    assert error == (
        f"error: {tmp_path / LAST}: cannot be written (File too large); choose another folder; "
        "the last checkpoint is of step 4: go on from it with --resume"
    )
    assert "Traceback" not in full.stderr
    assert main(words(tmp_path, "--resume")) == 0
    assert_same_run(tmp_path, whole)


def test_a_data_file_that_is_lost_ends_the_run_in_one_line(words, cubes, tmp_path, capsys, monkeypatch):
    data = shutil.copytree(cubes, tmp_path / "data")
    lost = data / "imagesTr" / "case1_0000.nii.gz"
    step = loop.training_step

    def losing(run, number, batch):
        if number == 5:
            lost.unlink()
        return step(run, number, batch)

    monkeypatch.setattr(loop, "training_step", losing)
    assert main(words(tmp_path / "run", "--cache-mb", "0", "--validation", "0", data=data)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "case1_0000.nii.gz" in error
    assert error.endswith("go on from it with --resume")
    assert load_checkpoint(tmp_path / "run" / LAST)[1].step >= 4


def test_a_validation_that_fails_loses_no_step(words, cubes, tmp_path, capsys, monkeypatch):
    """No checkpoint is due before the end at step 12; the recipe validates after steps 6 and 12."""
    data = shutil.copytree(cubes, tmp_path / "data")
    image = data / "imagesTr" / "case1_0000.nii.gz"
    whole = image.read_bytes()
    (tmp_path / "held-out.txt").write_text("case1\n")
    more = ("--hold-out", str(tmp_path / "held-out.txt"), "--set", "checkpoint_every_steps=1000")
    call = [
        word
        for word in words(tmp_path / "run", "--cache-mb", "0", *more, data=data)
        if word != "--validation"
    ]
    call.remove(str(cubes))
    step = loop.training_step

    def losing(run, number, batch):
        if number == 5:
            image.write_bytes(whole[: len(whole) // 2])
        return step(run, number, batch)

    monkeypatch.setattr(loop, "training_step", losing)
    assert main(call) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "case1_0000.nii.gz: is truncated" in error
    assert error.endswith("; the last checkpoint is of step 6: go on from it with --resume")
    image.write_bytes(whole)
    monkeypatch.setattr(loop, "training_step", step)
    assert main([*call, "--resume"]) == 0
    steps = [(entry["step"], "dice" in entry) for entry in read_log(tmp_path / "run" / LOG)]
    assert steps == [
        *((n, False) for n in range(1, 7)),
        (6, True),
        *((n, False) for n in range(7, 13)),
        (12, True),
    ]


def test_a_loss_that_is_not_a_number_ends_the_run_in_one_line(words, tmp_path, capsys, monkeypatch):
    add_gradients = step_module.add_gradients

    def failing(run, batch, share, *, complete):
        share *= float("nan") if run.info.step == 5 else 1
        return add_gradients(run, batch, share, complete=complete)

    monkeypatch.setattr(step_module, "add_gradients", failing)
    assert main(words(tmp_path)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "error: the loss of step 6 is nan; lower optimizer.learning_rate, or train with --precision fp32; "
        "the last checkpoint is of step 4: go on from it with --resume"
    )
    tensors, info = load_checkpoint(tmp_path / LAST)
    assert info.step == 4
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_restart_before_the_first_checkpoint_begins_a_new_log(words, whole, tmp_path):
    (tmp_path / LOG).write_text('{"step": 1, "loss": 77.0}\n')
    assert main(words(tmp_path, "--resume", "auto")) == 0
    assert learned(tmp_path) == learned(whole)


def test_resume_auto_after_the_end_changes_nothing(words, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "again")
    assert main(words(folder, "--resume", "auto")) == 0
    assert_same_run(folder, whole)
