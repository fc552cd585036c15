"""From the `architecture` of nnU-Net's plans, new or old, to the specification of a network here."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.arrays import Zyx
from model.importers.foreign_fields import field
from model.model_errors import RefusedModelError
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec

UNetSpec = PlainUNetSpec | ResidualUNetSpec
PLAIN, RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
USUAL: Mapping[str, Sequence[object]] = {
    "conv_bias": (True,),
    "norm_op": (
        "torch.nn.modules.instancenorm.InstanceNorm3d",
        "torch.nn.modules.instancenorm.InstanceNorm2d",
    ),
    "norm_op_kwargs": ({"eps": 1e-5, "affine": True},),
    "dropout_op": (None,),
    "nonlin": ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"),
    "nonlin_kwargs": ({"inplace": True}, {"inplace": False}, {}, None),
    "nonlin_first": (False,),
    "block": ("dynamic_network_architectures.building_blocks.residual.BasicBlockD",),
    "bottleneck_channels": (None,),
    "stem_channels": (None,),
}
"""Arguments of nnU-Net's networks that must be as its own planners set them, where they are given."""
SHAPES = (
    *("n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_conv_per_stage"),
    *("n_blocks_per_stage", "n_conv_per_stage_decoder", "dropout_op_kwargs", "deep_supervision"),
)
"""Arguments that may be anything."""


def spec_of(
    stated: Mapping[str, Any], in_channels: int, out_channels: int, *, flat: bool, where: str
) -> UNetSpec:
    """The network of a configuration.

    Args:
        stated: the configuration.
        in_channels: images of a case.
        out_channels: classes or regions.
        flat: whether it sees slices; then its windows here are one slice thick.
        where: the configuration's place, for messages.

    Raises:
        RefusedModelError: it is none of nnU-Net's two U-Nets as its planners make them.
    """
    name, given = _architecture(stated, where)
    if name not in (PLAIN, RESIDUAL):
        raise RefusedModelError(f"{where}: architecture {name} is unknown; known are {PLAIN} and {RESIDUAL}")
    _check_usual(given, f"{where}: {name}")
    strides = _by_level(given, "strides", flat, where)
    if strides[0] != (1, 1, 1):
        raise RefusedModelError(f"{where}: the first of strides must be 1, is {list(strides[0])}")
    encoder = _counts(
        given, "n_conv_per_stage" if name == PLAIN else "n_blocks_per_stage", len(strides), where
    )
    sizes: dict[str, Any] = {
        "in_channels": in_channels,
        "out_channels": out_channels,
        "features": _counts(given, "features_per_stage", len(strides), where),
        "strides": strides[1:],
        "kernels": _by_level(given, "kernel_sizes", flat, where),
        "decoder_convolutions": _counts(given, "n_conv_per_stage_decoder", len(strides) - 1, where)[::-1],
    }
    try:
        if name == PLAIN:
            return PlainUNetSpec(**sizes, encoder_convolutions=encoder)
        return ResidualUNetSpec(**sizes, encoder_blocks=encoder)
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error


def _architecture(stated: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Any]]:
    if "architecture" in stated:
        architecture: Mapping[str, Any] = field(stated, "architecture", Mapping, where)
        name: str = field(architecture, "network_class_name", str, where)
        return name.rpartition(".")[2], field(architecture, "arch_kwargs", Mapping, where)
    # Plans of nnU-Net before 2.5.
    name = field(stated, "UNet_class_name", str, where)
    encoder: list[int] = field(stated, "n_conv_per_stage_encoder", list, where)
    base: int = field(stated, "UNet_base_num_features", int, where)
    most: int = field(stated, "unet_max_num_features", int, where)
    return name, {
        "features_per_stage": [min(base * 2**level, most) for level in range(len(encoder))],
        "strides": field(stated, "pool_op_kernel_sizes", list, where),
        "kernel_sizes": field(stated, "conv_kernel_sizes", list, where),
        "n_conv_per_stage" if name == PLAIN else "n_blocks_per_stage": encoder,
        "n_conv_per_stage_decoder": field(stated, "n_conv_per_stage_decoder", list, where),
    }


def _check_usual(given: Mapping[str, Any], where: str) -> None:
    for name, value in given.items():
        if name in USUAL:
            if value not in USUAL[name]:
                raise RefusedModelError(
                    f"{where} has {name} {value}, which cannot be expressed; known is {USUAL[name][0]}"
                )
        elif name not in SHAPES:
            raise RefusedModelError(f"{where} has {name} {value}, which is unknown")


def _counts(given: Mapping[str, Any], name: str, levels: int, where: str) -> tuple[int, ...]:
    value: Any = field(given, name, (int, list, tuple), where)
    counts = (value,) * levels if isinstance(value, int) else tuple(value)
    if not counts or not all(type(count) is int for count in counts):
        raise RefusedModelError(f"{where}: {name} must be whole numbers, is {value}")
    return counts


def _by_level(given: Mapping[str, Any], name: str, flat: bool, where: str) -> tuple[Zyx, ...]:
    """Strides or kernels of each level; those of flat networks with 1 in front."""
    levels: list[Any] = field(given, name, (list, tuple), where)
    found: list[Zyx] = []
    for level in levels:
        sides = tuple(level) if isinstance(level, list | tuple) else (level,) * (2 if flat else 3)
        if len(sides) != (2 if flat else 3) or not all(type(side) is int for side in sides):
            raise RefusedModelError(f"{where}: {name} must be whole numbers along each axis, is {levels}")
        first, second, third = (1, *sides) if flat else sides
        found.append((first, second, third))
    if len(found) < 2:
        raise RefusedModelError(f"{where}: {name} must be of two levels or more, is {levels}")
    return tuple(found)
