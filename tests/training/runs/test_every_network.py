"""One path trains, validates, stores and resumes every kind of network."""

import pytest
import torch

from tests.training.tiny import tiny_recipe
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.runs import loop
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.loop import train
from training.runs.run import start_run
from training.runs.run_files import LAST
from training.runs.run_storage import resume_run

NETWORKS = (
    {"kind": "segresnet", "init_filters": 4, "blocks_down": [1, 1, 1], "dsdepth": 2},
    {
        "kind": "plain_unet",
        "features": [4, 6, 8],
        "strides": [[1, 2, 2], [2, 2, 2]],
        "deep_supervision": 2,
    },
    {"kind": "residual_unet", "features": [4, 8], "strides": [[2, 2, 2]], "encoder_blocks": [1, 2]},
    {"kind": "seunet", "init_filters": 4, "levels": 3, "deep_supervision": 2},
)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network["kind"])
def test_a_run_of_two_steps_and_two_more_is_one_of_four(cubes, tmp_path, network, monkeypatch):
    recipe = tiny_recipe(
        network=network, stopping={"kind": "fixed_steps", "steps": 4}, checkpoint_every_steps=2
    )
    cases = labelled_cases(cubes)
    info = RunInfo(recipe=recipe, step=0, seed=1, precision="fp32", cases=("case0", "case1"))

    def finish(run):
        run.folder.mkdir(exist_ok=True)
        store = CaseStore(cases, recipe, cache_mb=10)
        train(run, store, CaseStore(cases[:1], recipe, cache_mb=10), workers=1)
        return load_checkpoint(run.folder / LAST)

    device = torch.device("cpu")
    whole, expected = finish(start_run(info, device, tmp_path / "whole"))
    cut = start_run(info, device, tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    save = loop.save_run

    def save_and_stop(run, name, *, moments):
        save(run, name, moments=moments)
        if name == LAST and run.info.step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_run", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            finish(cut)
    tensors, resumed = finish(resume_run(info, device, tmp_path / "cut"))
    assert resumed == expected
    assert all(torch.equal(tensors[name], whole[name]) for name in whole)
