"""Dice of held-out cases, per channel, on the network's grid.

Label maps of channels are (z, y, x).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from eval.scoring.metrics import dice_per_label
from model.arrays import U8
from training.data.sampling import GridCase
from training.data.store import CaseStore
from training.data.whole_volumes import padded_zyx
from training.distributed.data_parallel import joined
from training.distributed.network_placement import Placement
from training.runs.case_windows import predict_channels
from training.runs.timetable import Stage

Look = Callable[[int, GridCase, U8], None]


def validate(
    network: nn.Module,
    store: CaseStore,
    stage: Stage,
    device: torch.device,
    autocast: AbstractContextManager[object],
    placement: Placement | None = None,
    look: Look | None = None,
    is_ended: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Mean Dice of each foreground channel over the held-out cases, 0 to 1.

    A case counts for a channel only if it annotates it and its truth holds it; a channel that no case holds
    is left out.

    Args:
        network: is left in the mode that it was in.
        store: held-out cases.
        stage: says the recipe, and whether the network sees whole volumes.
        device: where the network runs.
        autocast: in which precision.
        placement: where the network is, and which processes share the cases; None: all is here.
        look: called with each case's number, the case and its prediction.
        is_ended: asked before each case, whether the others are left out; alike in all stages of a network.
    """
    recipe, scores, placement = stage.recipe, {}, placement or Placement()
    network = placement.for_windows(network)
    was_training = network.training
    network.eval()
    with torch.inference_mode(), autocast:
        for index in own_cases(store, stage, placement):
            if is_ended():
                break
            case = store.load(index)
            window_zyx = recipe.patch_zyx
            if stage.whole:
                window_zyx = padded_zyx(case.size_zyx, recipe.network)
            prediction = placement.agreed(
                predict_channels(
                    network,
                    case,
                    window_zyx,
                    recipe.validation.overlap,
                    device,
                    placement.windows_at_a_time,
                    recipe.inference.tiling.padding,
                )
            )
            scores[index] = case_dice(prediction, case.channels[:], recipe.channel_names)
            if look is not None:
                look(index, case, prediction)
    network.train(was_training)
    return mean_dice(joined(scores, placement.replicas), recipe.channel_names)


def own_cases(store: CaseStore, stage: Stage, placement: Placement) -> range:
    """Numbers of the held-out cases that this process measures."""
    return placement.replicas.share(min(len(store), stage.recipe.validation.cases))


def case_dice(prediction: U8, truth: U8, channel_names: Sequence[str]) -> dict[str, float]:
    """Dice of each foreground channel that the truth holds."""
    present = [channel for channel in np.unique(truth).tolist() if channel > 0]
    return {
        channel_names[channel]: score for channel, score in dice_per_label(prediction, truth, present).items()
    }


def mean_dice(scores: Sequence[Mapping[str, float]], channel_names: Sequence[str]) -> dict[str, float]:
    """Mean over cases of each channel, over those cases that have it; channels in their own order."""
    found = {name: [score[name] for score in scores if name in score] for name in channel_names}
    return {name: float(np.mean(values)) for name, values in found.items() if values}
