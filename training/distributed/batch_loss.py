"""The loss of a whole batch, where the schedule asks for one of each micro-batch.

GPipe's schedule sends all micro-batches forward before the first one goes back. So the last stage has the
logits of the whole batch before any gradient is asked for: the loss is computed once, over all of them, as
one process would, and each micro-batch takes its share of the gradient. Sums over the batch, as those of Dice
or of weights that follow the size of classes, are those of the batch and not of a micro-batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Loss = Callable[[Sequence[Tensor]], Tensor]
"""From the logits of a batch, a tensor for each supervised level, to a scalar."""


class BatchLoss:
    """Gathers the logits of micro-batches, and has the loss after the last of them.

    Args:
        loss: of the batch.
        micro_batches: how many there are.
        scale: the loss is multiplied by this before gradients are taken.
    """

    def __init__(self, loss: Loss, micro_batches: int, scale: Callable[[Tensor], Tensor]) -> None:
        self._loss, self._micro_batches, self._scale = loss, micro_batches, scale
        self._waiting: list[tuple[Tensor, ...]] = []
        self.gradients: list[tuple[Tensor, ...]] = []
        """Of each micro-batch's logits, level by level."""
        self.value: Tensor | None = None
        """The loss, not scaled."""

    def __call__(self, levels: tuple[Tensor, ...]) -> Tensor:
        """A scalar of 0 whose gradient is this micro-batch's share of the loss's.

        Args:
            levels: logits of a micro-batch.
        """
        index = len(self._waiting)
        self._waiting.append(tuple(level.detach() for level in levels))
        if len(self._waiting) == self._micro_batches:
            self._compute()
        stand_in: Tensor = _Share.apply(self, index, *levels)  # type: ignore[no-untyped-call]
        return stand_in

    def _compute(self) -> None:
        size = len(self._waiting[0][0])
        levels = [torch.cat(parts).requires_grad_() for parts in zip(*self._waiting, strict=True)]
        self._waiting.clear()
        value = self._loss(levels)
        gradients = torch.autograd.grad(self._scale(value), levels)
        self.gradients = list(zip(*(torch.split(gradient, size) for gradient in gradients), strict=True))
        self.value = value.detach()


class _Share(torch.autograd.Function):
    """What stands for the loss of a micro-batch."""

    @staticmethod
    def forward(ctx: Any, loss: BatchLoss, index: int, *levels: Tensor) -> Tensor:  # noqa: ANN401 - torch has no type for it
        ctx.loss, ctx.index = loss, index
        return levels[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return None, None, *ctx.loss.gradients[ctx.index]
