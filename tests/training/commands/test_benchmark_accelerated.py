"""`benchmark accelerated` trains both ways on the same cases and prints them beside each other."""

import json

import pytest
import yaml

from tests.training.tiny import DOCUMENT, write_dataset
from training.__main__ import main
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import LAST


def test_both_ways_are_trained_scored_and_timed(cubes, tmp_path, capsys):
    recipe, output = tmp_path / "recipe.yaml", tmp_path / "bench"
    stopping = {"kind": "epochs", "epochs": 10}
    recipe.write_text(yaml.safe_dump({**DOCUMENT, "stopping": stopping}))
    test = write_dataset(tmp_path / "test", side=24)
    call = ["benchmark", "accelerated", str(recipe), "--data", str(cubes), "--test", str(test)]
    call += ["--output", str(output), "--validation", str(cubes), "--device", "cpu"]
    assert main([*call, "--window-epochs", "3", "--slope-per-epoch", "1"]) == 0
    out = capsys.readouterr().out
    assert "| all structures | 2 |" in out
    assert "times less time" in out
    _, slow = load_checkpoint(output / "baseline-0" / LAST)
    _, fast = load_checkpoint(output / "accelerated-0" / LAST)
    assert (slow.step, slow.precision) == (20, "fp32")
    # An epoch of two cases is one step of two; any slope will do once 8 validations are there; 3 to anneal.
    assert (fast.batch_size, fast.step) == (2, 10)
    found = json.loads((output / "benchmark.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert found["steps"] == {"baseline": [20], "accelerated": [10]}
    assert (
        found["times_less_cpu"]
        == found["cpu_seconds"]["baseline"][0] / found["cpu_seconds"]["accelerated"][0]
    )


@pytest.mark.parametrize("is_used", [False, True])
def test_what_cannot_be_compared_is_refused_by_its_option(cubes, tmp_path, capsys, is_used):
    """Of eight steps, two an epoch, none is left to wait in; and what is in the folder may be of others."""
    recipe, output = tmp_path / "recipe.yaml", tmp_path / "bench"
    recipe.write_text(yaml.safe_dump(DOCUMENT))
    if is_used:
        output.mkdir()
        (output / "baseline.yaml").touch()
    test = write_dataset(tmp_path / "test", side=24)
    call = ["benchmark", "accelerated", str(recipe), "--data", str(cubes), "--test", str(test)]
    assert main([*call, "--output", str(output), "--device", "cpu"]) == 2
    told = capsys.readouterr().err
    if is_used:
        assert told == f"error: --output: {output} is not empty; choose a new folder\n"
    else:
        assert told.startswith("error: --window-epochs: the baseline's 4 epochs are no more than the 20 of")


def test_cases_to_judge_by_that_are_trained_on_are_refused(cubes, tmp_path, capsys):
    """Before anything is trained or written."""
    recipe, output = tmp_path / "recipe.yaml", tmp_path / "bench"
    recipe.write_text(yaml.safe_dump(DOCUMENT))
    call = ["benchmark", "accelerated", str(recipe), "--data", str(cubes), "--test", str(cubes)]
    assert main([*call, "--output", str(output), "--device", "cpu"]) == 1
    image = cubes / "imagesTr" / "case0_0000.nii.gz"
    told = f"{image}: is judged by, and trained on as {image}; leave one of them out"
    assert told in capsys.readouterr().err
    assert not output.exists()
