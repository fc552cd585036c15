"""Checkpoints of networks that nobody trained."""

import torch

from model.networks.build import build
from tests.training.tiny import tiny_recipe
from training.runs.checkpoints import RunInfo, save_checkpoint


def write_checkpoint(path, *, seed=0, recipe=None, **fields):
    """Write a checkpoint of the tiny recipe with fields replaced, or of another recipe."""
    recipe = recipe or tiny_recipe(**fields)
    torch.manual_seed(seed)
    tensors = {f"network.{name}": tensor for name, tensor in build(recipe.network).state_dict().items()}
    info = RunInfo(recipe=recipe, step=8, seed=seed, precision="fp32", cases=("a",), data="cubes")
    save_checkpoint(path, tensors, info)
    return path
