"""Batches that tell sums over all processes or micro-batches from sums over some of them.

Which structures the patches annotate differs, and so does how much of them is foreground.
"""

import torch

from training.data.batches import Batch


def patch(step: int, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image, target and annotated structures of a patch: a function of step and number alone."""
    generator = torch.Generator().manual_seed(100 * step + index)
    target = torch.zeros(16, 16, 16, dtype=torch.uint8)
    target[2 : 6 + 6 * index, 2:12, 2:12] = 1
    target[12:, 4:8, 4:8] = 2 + index % 2
    image = target / 4 + 0.3 * torch.rand(16, 16, 16, generator=generator)
    annotated = torch.tensor([True, True, index == 0, True, index == 0])
    return image, target, annotated


def batch_of(step: int, numbers: range) -> Batch:
    images, targets, annotated = zip(*(patch(step, number) for number in numbers), strict=True)
    return Batch(
        images=torch.stack(images).unsqueeze(1), target=torch.stack(targets), annotated=torch.stack(annotated)
    )
