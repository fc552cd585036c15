"""From a recipe's optimizer section to torch's optimizer."""

from collections.abc import Iterable

import torch
from torch import nn

from training.recipes.optimizer_options import Optimizer


def make_optimizer(parameters: Iterable[nn.Parameter], options: Optimizer) -> torch.optim.AdamW:
    """An optimizer before its first step."""
    return torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
