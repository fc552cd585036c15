"""What nnU-Net calls the parameters of the networks in `model.networks.unet`, and its weights in ours.

nnU-Net's checkpoints hold most tensors two or three times under other names (`all_modules`,
`decoder.encoder`), which is passed over; so are its logits at coarser levels where there are none here.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from model.importers.filled_network import filled, plain_names
from model.networks.build import build
from model.networks.levels import FULL_RESOLUTION
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec

FLAT_KERNEL = 4
"""Axes of a flat network's convolution: channels out and in, height, width."""


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
    network = build(spec)
    names = {ours: nnunet_name(ours, spec) for ours in network.state_dict()}
    wanted = set(names.values())
    given = {
        name: _thick(tensor)
        for name, tensor in plain_names(weights).items()
        if name in wanted or not _is_known_copy(name)
    }
    return filled(network, given, names.__getitem__, where, "the plans")


def _thick(tensor: object) -> object:
    if isinstance(tensor, Tensor) and tensor.ndim == FLAT_KERNEL:
        return tensor.unsqueeze(2)
    return tensor


def _is_known_copy(name: str) -> bool:
    return ".all_modules." in name or name.startswith(("decoder.encoder.", "decoder.seg_layers."))
