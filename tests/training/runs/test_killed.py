"""A run that is killed while it writes a checkpoint goes on from the one before, to the bit."""

import subprocess
import sys

import pytest
import torch
import yaml

from tests.places import ROOT
from tests.training.run_logs import learned
from tests.training.tiny import DOCUMENT
from training.__main__ import main
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import LAST

KILLED = """
import os, signal, sys
import safetensors.torch, torch
from training.__main__ import main

torch.set_num_threads(1)
write, calls = safetensors.torch.save_file, []

def killed(tensors, path, metadata):
    calls.append(path)
    write(tensors, path, metadata=metadata)
    if len(calls) == int(sys.argv[1]):
        path.write_bytes(path.read_bytes()[: int(float(sys.argv[2]) * path.stat().st_size)])
        os.kill(os.getpid(), signal.SIGKILL)

safetensors.torch.save_file = killed
main(sys.argv[3:])
"""


@pytest.fixture
def words(cubes, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**DOCUMENT, "checkpoint_every_steps": 2}))

    def call(output, *more):
        words = [
            "train",
            str(recipe),
            "--data",
            str(cubes),
            "--output",
            str(tmp_path / output),
            "--seed",
            "4",
        ]
        return [*words, "--validation", "0", "--device", "cpu", "--precision", "fp32", *more]

    return call


@pytest.mark.parametrize(("save", "written"), [(2, 0.5), pytest.param(3, 1.0, marks=pytest.mark.slow)])
def test_sigkill_during_a_save(words, tmp_path, save, written):
    """Half of the second checkpoint is on disk, or all of the third but under its temporary name."""
    assert main(words("whole")) == 0
    code = [sys.executable, "-c", KILLED, str(save), str(written), *words("cut")]
    ran = subprocess.run(code, capture_output=True, cwd=ROOT, check=False)
    assert ran.returncode == -9, ran.stderr
    assert load_checkpoint(tmp_path / "cut" / LAST)[1].step == 2 * (save - 1)
    assert main(words("cut", "--resume")) == 0
    (expected, whole), (found, resumed) = (load_checkpoint(tmp_path / run / LAST) for run in ("whole", "cut"))
    assert resumed == whole
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert learned(tmp_path / "cut") == learned(tmp_path / "whole")
