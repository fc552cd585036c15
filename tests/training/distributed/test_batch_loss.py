"""The loss of a batch whose logits come in micro-batches."""

import torch

from training.distributed.batch_loss import BatchLoss


def product(levels):
    """Sums over the batch, multiplied: a loss that is no mean of those of its parts."""
    fine, coarse = levels
    return fine.sum() * coarse.sum()


def test_each_micro_batch_gets_its_share_of_the_whole_batchs_gradient():
    levels = [
        (torch.tensor([[1.0], [2.0]], requires_grad=True), torch.tensor([[1.0], [1.0]], requires_grad=True)),
        (torch.tensor([[3.0], [4.0]], requires_grad=True), torch.tensor([[1.0], [2.0]], requires_grad=True)),
    ]
    loss = BatchLoss(product, 2, lambda value: 100 * value)
    parts = [loss(micro_batch) for micro_batch in levels]
    # 10 · 5; not 3 · 2 + 7 · 3.
    assert loss.value == 50
    for part in parts:
        part.backward()
    for fine, coarse in levels:
        assert fine.grad.tolist() == [[500.0]] * 2
        assert coarse.grad.tolist() == [[1000.0]] * 2
