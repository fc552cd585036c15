"""Whole runs of a network that is cut over processes: stages that come and go, whole volumes, export."""

import subprocess
import sys

import pytest
import yaml

from model.bundle import load_bundle
from tests.places import ROOT
from tests.training.distributed.test_elastic import losses_of
from tests.training.tiny import DOCUMENT
from training.__main__ import main
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import BEST, LAST

RECIPE = {
    **DOCUMENT,
    "network": {"kind": "plain_unet", "features": [4, 8, 8], "strides": [[2, 2, 2]] * 2},
    "optimizer": {"kind": "sgd", "learning_rate": 0.05},
    "schedule": {"kind": "constant"},
    "ema": {"decay": 0.9},
    "curriculum": [
        {"patch_zyx": [8, 8, 8], "batch_size": 4, "epochs": 3},
        {"patch_zyx": [16, 16, 16], "batch_size": 2, "epochs": 2},
        {"patch_zyx": "whole", "epochs": 2},
    ],
    "stopping": {"kind": "epochs", "epochs": 7},
    "pipeline": {"micro_batches": 4},
    "checkpoint_every_steps": 2,
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return str(path)


def words(recipe, data, output, *more):
    call = ["train", recipe, "--data", str(data), "--validation", str(data), "--device", "cpu"]
    return [*call, "--precision", "fp32", "--threads", "1", "--output", str(output), *more]


def torchrun(processes, module, *call):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, "--nproc-per-node", str(processes), "-m", module, *call],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_stages_and_is_exported(recipe, cubes, tmp_path):
    """Two stages until one is lost in the sixth step, then three, through patches and whole volumes."""
    call, lost = words(recipe, cubes, tmp_path / "cut", "--resume", "auto"), str(tmp_path / "lost")
    assert torchrun(2, "tests.training.distributed.train_and_fail", lost, *call).returncode != 0
    assert load_checkpoint(tmp_path / "cut" / LAST)[1].step == 4
    resumed = torchrun(3, "training", *call)
    assert resumed.returncode == 0, resumed.stderr
    assert "pipeline of 3 stages, 1 of it: encoder.0 (" in resumed.stderr
    assert "67% with one, as for whole volumes, of which nothing overlaps" in resumed.stderr
    assert main(words(recipe, cubes, tmp_path / "one")) == 0
    (cut, dice_of_cut), (one, dice_of_one) = (losses_of(tmp_path / name) for name in ("cut", "one"))
    assert len(cut) == 9
    assert cut == pytest.approx(one, abs=1e-5)
    assert dice_of_cut == pytest.approx(dice_of_one, abs=1e-3)
    (tensors, info), (expected, _) = (load_checkpoint(tmp_path / name / LAST) for name in ("cut", "one"))
    assert info.step == 9
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    # One process takes it up, too: there is nothing left to do.
    assert main([*call[:-1], "always"]) == 0
    bundle = tmp_path / "bundle"
    assert main(["export", str(tmp_path / "cut" / BEST), "--data", str(cubes), "--output", str(bundle)]) == 0
    assert load_bundle(bundle).manifest.members[0].window_zyx == (16, 16, 16)


def test_more_stages_than_processes_are_refused_in_one_line(recipe, cubes, tmp_path, capsys):
    call = words(recipe, cubes, tmp_path / "run", "--set", "pipeline.stages=2")
    assert main(call) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: pipeline.stages: 2 stages need a multiple of 2 processes, not 1; start torchrun with "
        "--nproc-per-node 2"
    )
    assert not (tmp_path / "run" / LAST).exists()


def test_one_process_has_the_whole_network(recipe, cubes, tmp_path):
    assert main(words(recipe, cubes, tmp_path / "run", "--steps", "2")) == 0
    assert load_checkpoint(tmp_path / "run" / LAST)[1].step == 2
