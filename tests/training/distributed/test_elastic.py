"""A run goes on after a process was lost, and with another number of processes, as if nothing had been."""

import json
import subprocess
import sys

import pytest
import yaml

from tests.places import ROOT
from tests.training.tiny import DOCUMENT
from training.__main__ import main

RECIPE = {
    **DOCUMENT,
    "sampling": {"batch_size": 2},
    "loss": {"terms": [{"kind": "dice"}, {"kind": "cross_entropy"}]},
}


def losses_of(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line], lines[-1]["mean_dice"]


@pytest.mark.slow
def test_torchrun_starts_a_run_again_that_lost_a_process(cubes, tmp_path):
    """It ends as one that lost none, and as one of a single process."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    call = ["train", str(recipe), "--data", str(cubes), "--validation", str(cubes), "--device", "cpu"]
    call += ["--precision", "fp32", "--threads", "1", "--resume", "auto", "--output"]
    started = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("--max-restarts", "1", "-m", "tests.training.distributed.train_and_fail"),
            *(str(tmp_path / "lost"), *call, str(tmp_path / "two")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    assert (tmp_path / "lost").exists()
    assert main([*call, str(tmp_path / "one")]) == 0
    (two, dice_of_two), (one, dice_of_one) = (losses_of(tmp_path / name) for name in ("two", "one"))
    assert len(two) == 8
    assert two == pytest.approx(one, rel=1e-4)
    assert dice_of_two == pytest.approx(dice_of_one, abs=1e-3)
