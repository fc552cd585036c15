"""Networks of MONAI by the names and arguments that its configurations give them.

Only those named here are built, which are known to become ONNX files that compute the same; and only of plain
values, so that no configuration can name code to be run.
"""

from collections.abc import Mapping
from typing import Any

from monai.networks import nets
from torch import nn

from model.networks.levels import MOST_CHANNELS

BUILT = ("UNet", "BasicUNet", "AttentionUnet", "DynUNet", "SegResNet", "SegResNetDS", "VNet", "HighResNet")
"""What is built, with three spatial dimensions."""
FUSED_NORM, NORM = "INSTANCE_NVFUSER", "INSTANCE"
"""A faster instance norm for GPUs, with the same parameters, and what stands for it elsewhere."""


def build_of_monai(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network, with freshly initialised weights, in evaluation mode.

    Args:
        name: MONAI's class, with or without its module.
        arguments: plain values.

    Raises:
        ValueError: it is not among those that are built, is of two dimensions, or its arguments do not fit.
    """
    module, _, plain = name.rpartition(".")
    if plain not in BUILT or not (module == "" or module.startswith("monai.networks.nets")):
        raise ValueError(f"network {name} is not known; known are {', '.join(BUILT)}")
    if arguments.get("spatial_dims", 3) != 3:
        raise ValueError(f"network {plain} has spatial_dims {arguments['spatial_dims']}; known is 3")
    for argument, value in arguments.items():
        if _largest(value) > MOST_CHANNELS:
            # Building it would fill the memory before it fails.
            raise ValueError(
                f"network {plain} has {argument} {str(value)[:60]}; must be {MOST_CHANNELS} at most"
            )
    try:
        network: nn.Module = getattr(nets, plain)(**arguments)
    except Exception as error:  # Faulty arguments end in errors of every kind, deep in MONAI.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"network {plain} cannot be built: {reason[0]}") from error
    return network.eval()


def _largest(value: object) -> float:
    """The largest number of a value and all that it holds; 0 where it holds none."""
    if isinstance(value, Mapping):
        return max(map(_largest, value.values()), default=0)
    if isinstance(value, list | tuple):
        return max(map(_largest, value), default=0)
    return value if isinstance(value, int | float) else 0


def with_plain_norm(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with instance norm where they ask for the fused one, as Auto3DSeg does without a GPU."""
    norm = arguments.get("norm")
    if isinstance(norm, str) and norm.upper() == FUSED_NORM:
        return {**arguments, "norm": NORM}
    if isinstance(norm, list) and norm and str(norm[0]).upper() == FUSED_NORM:
        return {**arguments, "norm": [NORM, *norm[1:]]}
    return dict(arguments)
