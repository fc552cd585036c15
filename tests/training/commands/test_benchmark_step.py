"""`benchmark step` measures the steps of a recipe on a data set, and says what does not go."""

import json

import pytest
import torch
import yaml

from tests.training.tiny import DOCUMENT
from training.__main__ import main
from training.comparison import measured_steps
from training.comparison.measured_steps import PARTS
from training.data import batches


def words(folder, data, *more, **fields):
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({**DOCUMENT, **fields}))
    return ["benchmark", "step", str(recipe), "--data", str(data), *more]


def test_a_row_is_printed_and_its_figures_are_written(cubes, tmp_path, capsys):
    call = words(tmp_path, cubes, "--steps", "2", "--warm-up", "1", "--device", "cpu", precision="fp32")
    assert main([*call, "--set", "sampling.batch_size=auto", "--json", str(tmp_path / "times.json")]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("| tiny | 0.01 | 16×16×16 | 2 | fp32 |")
    found = json.loads((tmp_path / "times.json").read_text(encoding="utf-8"))
    assert (found["recipe"], found["batch_size"], found["patch_zyx"]) == ("tiny", 2, [16, 16, 16])
    assert (found["steps"], found["patches"], found["gpu_peak_mb"]) == (2, 2, None)
    assert found["seconds"].keys() == set(PARTS)
    assert found["step_s"] == pytest.approx(sum(found["seconds"].values()))
    assert found["cpu_s"] > 0
    assert found["hardware"]["processor"]


def test_steps_on_whole_volumes_are_measured_as_such(cubes, tmp_path, capsys):
    """A cube of 20 voxels a side is padded to 20, a multiple of the network's stride of 2."""
    seen = []
    curriculum = [{"patch_zyx": "whole", "epochs": 1}]
    options = ("--steps", "1", "--warm-up", "0", "--device", "cpu")
    call = words(tmp_path, cubes, *options, curriculum=curriculum, augmentation={})
    with pytest.MonkeyPatch.context() as patched:
        step = measured_steps.training_step
        patched.setattr(
            measured_steps, "training_step", lambda run, *of: seen.append(of[1]) or step(run, *of)
        )
        assert main(call) == 0
    assert [tuple(batch.images.shape) for batch in seen] == [(1, 1, 20, 20, 20)]
    assert "| tiny | 0.01 | whole | 1 |" in capsys.readouterr().out


def test_steps_on_cases_that_the_recipe_makes_are_measured_with_these(cubes, tmp_path, capsys, monkeypatch):
    kinds = {"anatomy_share": 0, "pool": 1, "patches_per_case": 8}
    made = []

    def recorded(store, fresh, position, number):
        made.append(load_case(store, fresh, position, number))
        return made[-1]

    load_case = batches.load_case
    monkeypatch.setattr(batches, "load_case", recorded)
    call = words(tmp_path, cubes, "--steps", "2", "--warm-up", "0", label_set="flare23", synthesis=kinds)
    assert main([*call, "--device", "cpu"]) == 0
    assert {case.name for case in made} == {"synthetic_000000"}
    assert main([*call, "--set", "synthesis.anatomy_share=1"]) == 2
    assert "give them with --anatomy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--steps", "0"), 2, "--steps, --workers and --threads: must be 1 or more; --warm-up: 0 or more"),
        (("--warm-up", "-1"), 2, "--warm-up: 0 or more"),
        (("--set", "network.kind=none"), 2, "network"),
    ],
)
def test_a_wrong_call_is_refused(cubes, tmp_path, capsys, more, code, message):
    assert main(words(tmp_path, cubes, *more)) == code
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(cubes, tmp_path, capsys):
    assert main(words(tmp_path, cubes, "--device", "cuda")) == 1
    assert "torch finds no usable NVIDIA GPU here" in capsys.readouterr().err
