"""From a recipe's optimizer section to torch's optimizer, and what a run must keep of it to go on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from training.recipes.optimizer_options import AdamWOptimizer, Optimizer, RMSPropOptimizer, SGDOptimizer

Parameters = Sequence[nn.Parameter]


def _fused(parameters: Parameters) -> bool | None:
    """Whether one pass over the weights changes them: on the CPU, in half the time. None: torch chooses."""
    return True if all(parameter.device.type == "cpu" for parameter in parameters) else None


def _adamw(parameters: Parameters, options: AdamWOptimizer) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters,
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=_fused(parameters),
    )


def _sgd(parameters: Parameters, options: SGDOptimizer) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(
        parameters,
        lr=options.learning_rate,
        momentum=options.momentum,
        nesterov=options.nesterov,
        weight_decay=options.weight_decay,
        fused=_fused(parameters),
    )
    # A fused first step that the scaler of fp16 leaves out would leave momentum whatever memory held.
    if options.momentum and _fused(parameters):
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _rmsprop(parameters: Parameters, options: RMSPropOptimizer) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        parameters,
        lr=options.learning_rate,
        alpha=options.smoothing,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )


MAKERS: Mapping[str, Callable[[Parameters, Any], torch.optim.Optimizer]] = MappingProxyType(
    {"adamw": _adamw, "sgd": _sgd, "rmsprop": _rmsprop}
)
"""What makes each kind of optimizer."""
COUNTS_STEPS = ("adamw", "rmsprop")
"""Kinds whose state holds the number of changes made."""


def make_optimizer(parameters: Iterable[nn.Parameter], options: Optimizer) -> torch.optim.Optimizer:
    """An optimizer before its first step."""
    return MAKERS[options.kind](list(parameters), options)


def moments_of(options: Optimizer) -> tuple[str, ...]:
    """What the optimizer remembers of each weight, by torch's names; each of the weight's shape."""
    if isinstance(options, AdamWOptimizer):
        return ("exp_avg", "exp_avg_sq")
    momentum = ("momentum_buffer",) if options.momentum else ()
    return momentum if isinstance(options, SGDOptimizer) else ("square_avg", *momentum)
