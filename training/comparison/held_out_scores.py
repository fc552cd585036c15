"""How well a checkpoint segments cases that it has not seen, on its own grid: Dice and HD95."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.bundling.trained import load_trained
from training.case_scores import Score, channel_scores
from training.data.store import CaseStore
from training.runs.case_windows import predict_channels


@dataclass(frozen=True, kw_only=True)
class GridScore(Score):
    """One structure of one case, on a grid of known size."""

    diagonal_mm: float
    """Length of the diagonal of the grid's box: no distance in it is longer."""

    @property
    def counted_mm(self) -> float:
        """HD95 as it counts in means: the diagonal where it is infinite."""
        return self.hd95_mm if math.isfinite(self.hd95_mm) else self.diagonal_mm


def score_checkpoint(path: Path, store: CaseStore, device: torch.device) -> list[GridScore]:
    """Scores of each case and each structure that its truth holds.

    Raises:
        CheckpointError: the checkpoint is not usable.
        DataError: a case cannot be read.
    """
    trained = load_trained(path)
    recipe, network = trained.recipe, trained.network.to(device)
    found = []
    with torch.inference_mode():
        for index in range(len(store)):
            case = store.load(index)
            prediction = predict_channels(
                network,
                case,
                recipe.patch_zyx,
                recipe.validation.overlap,
                device,
                padding=recipe.inference.tiling.padding,
            )
            truth = np.asarray(case.channels[:])
            sides_mm = [n * mm for n, mm in zip(truth.shape, recipe.voxel_zyx_mm, strict=True)]
            found += [
                GridScore(
                    case=case.name,
                    structure=recipe.channel_names[channel],
                    dice=dsc,
                    hd95_mm=hd95,
                    diagonal_mm=math.hypot(*sides_mm),
                )
                for channel, dsc, hd95 in channel_scores(prediction, truth, recipe.voxel_zyx_mm)
            ]
    return found
