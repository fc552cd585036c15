"""Cases that do not annotate every structure: what they may teach about the others, which is nothing.

Under softmax a voxel that such a case calls background may be background or any structure that it does not
annotate. The marginal form asks for the sum of their probabilities: no gradient then tells them apart.
Source: Shi, Xiao, Chen, Zhou, "Marginal loss and exclusion loss for partially supervised multi-organ
segmentation", Medical Image Analysis 2021.

Shapes: b patches, c channels, n voxels; `annotated` (b, c) bool.
"""

import torch
from torch import Tensor


def is_partial(annotated: Tensor | None) -> bool:
    """Whether any case leaves out any structure."""
    return annotated is not None and not bool(annotated.all())


def marginal_logits(logits: Tensor, annotated: Tensor) -> Tensor:
    """Logits whose softmax gives the background also what channels hold that are not annotated.

    Those channels become -inf: probability 0, and no gradient. (b, c, n) both. With three channels at
    probability 1/2, 1/3, 1/6 of which the last is not annotated: 2/3, 1/3, 0.
    """
    joined = ~annotated
    joined[:, 0] = True
    joined = joined.unsqueeze(2)
    background = logits.masked_fill(~joined, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([background, logits[:, 1:].masked_fill(joined[:, 1:], -torch.inf)], 1)


def annotated_target(target: Tensor, annotated: Tensor) -> Tensor:
    """The target, with background in place of channels that the case is not said to annotate; (b, n)."""
    return target * annotated.gather(1, target)


def counted_voxels(target: Tensor, annotated: Tensor) -> Tensor:
    """Which voxels are certain, (b, n) bool: in a partly annotated case those of its structures only."""
    return annotated.all(1, keepdim=True) | (target > 0)


def counted_channels(annotated: Tensor) -> Tensor:
    """Which channels are certain, (b, c) bool: the background only where everything is annotated."""
    return torch.cat([annotated.all(1, keepdim=True), annotated[:, 1:]], 1)
