"""What nnU-Net calls the parameters of the networks in `model.networks.unet`, and its weights in ours.

nnU-Net's checkpoints hold most tensors two or three times under other names (`all_modules`,
`decoder.encoder`), which is passed over; so are its logits at coarser levels where there are none here.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.importers.finite_weights import check_finite_weights
from model.importers.refusals import RefusedModelError
from model.networks.build import build
from model.networks.levels import FULL_RESOLUTION
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec

PREFIXES = ("module.", "_orig_mod.")
"""What DDP and `torch.compile` put before each name."""


def nnunet_name(name: str, spec: PlainUNetSpec | ResidualUNetSpec) -> str:
    """What nnU-Net calls one of our parameters; its decoder counts stages from the coarsest.

    With four levels: `decoder.0.up.weight` is `decoder.transpconvs.2.weight`.
    """
    part, *rest = name.split(".")
    if part == "stem":
        return f"encoder.stem.convs.0.{_leaf(rest)}"
    level = int(rest[0])
    stage = len(spec.features) - 2 - level
    if part == "heads":
        return f"decoder.seg_layers.{stage}.{rest[1]}"
    if part == "decoder" and rest[1] == "up":
        return f"decoder.transpconvs.{stage}.{rest[2]}"
    if part == "decoder":
        return f"decoder.stages.{stage}.convs.{rest[2]}.{_leaf(rest[3:])}"
    if isinstance(spec, PlainUNetSpec):
        return f"encoder.stages.{level}.0.convs.{rest[1]}.{_leaf(rest[2:])}"
    block = f"encoder.stages.{level}.blocks.{rest[1]}"
    pooled = rest[1] == "0" and level > 0 and spec.strides[level - 1] != FULL_RESOLUTION
    inside = {"first": "conv1", "second": "conv2", "project": f"skip.{int(pooled)}"}[rest[2]]
    return f"{block}.{inside}.{_leaf(rest[3:])}"


def _leaf(parts: list[str]) -> str:
    return ".".join("conv" if part == "convolution" else part for part in parts)


def network_of(
    spec: PlainUNetSpec | ResidualUNetSpec, weights: Mapping[str, object], where: object
) -> nn.Module:
    """The network with nnU-Net's weights, in evaluation mode.

    Args:
        spec: what the plans say of it.
        weights: `network_weights` of a checkpoint. Those of a flat network become those of windows one slice
            thick.
        where: the checkpoint, for messages.

    Raises:
        RefusedModelError: a tensor is missing, of another shape, or left over: it is another network; or one
            holds NaN.
    """
    given = {_plain(name): tensor for name, tensor in weights.items()}
    network = build(spec)
    used = set()
    with torch.no_grad():
        for ours, parameter in network.named_parameters():
            name = nnunet_name(ours, spec)
            tensor = given.get(name)
            if not isinstance(tensor, Tensor):
                raise RefusedModelError(f"{where}: has no {name}, so it is not the network of the plans")
            if tensor.ndim == parameter.ndim - 1 and tensor.ndim > 1:
                tensor = tensor.unsqueeze(2)
            if tensor.shape != parameter.shape:
                found, wanted = (list(each.shape) for each in (tensor, parameter))
                raise RefusedModelError(f"{where}: {name} is {found}, the plans want {wanted}")
            check_finite_weights(name, tensor, where)
            parameter.copy_(tensor)
            used.add(name)
    left = sorted(name for name in given if name not in used and not _is_known_copy(name))
    if left:
        raise RefusedModelError(f"{where}: holds {left[0]}, which the network of the plans has not")
    return network.eval()


def _plain(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _is_known_copy(name: str) -> bool:
    return ".all_modules." in name or name.startswith(("decoder.encoder.", "decoder.seg_layers."))
