"""Scores of a checkpoint on cases of known size."""

import math
from types import SimpleNamespace

import numpy as np
import torch

from tests.training.tiny import tiny_recipe
from training.comparison import held_out_scores
from training.comparison.held_out_scores import score_checkpoint
from training.data.folders import labelled_cases
from training.data.store import CaseStore


def test_where_nothing_is_found_the_diagonal_of_the_grid_counts(cubes, tmp_path, monkeypatch):
    """A liver and a spleen in each of two cases of 20 voxels of 2 mm a side: √3 × 40 mm."""
    trained = SimpleNamespace(recipe=tiny_recipe(), network=torch.nn.Identity())
    monkeypatch.setattr(held_out_scores, "load_trained", lambda path: trained)
    monkeypatch.setattr(
        held_out_scores, "predict_channels", lambda *_, **__: np.zeros((20, 20, 20), np.uint8)
    )
    store = CaseStore(labelled_cases(cubes), trained.recipe, 10)
    found = score_checkpoint(tmp_path, store, torch.device("cpu"))
    assert [(score.case, score.structure) for score in found] == [
        ("case0", "liver"),
        ("case0", "spleen"),
        ("case1", "liver"),
        ("case1", "spleen"),
    ]
    for score in found:
        assert (score.dice, score.hd95_mm) == (0, math.inf)
        assert score.counted_mm == score.diagonal_mm == math.sqrt(3 * 40**2)
