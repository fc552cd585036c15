"""The plain and residual U-Nets compute what nnU-Net's own classes compute, with weights of the same values.

Golden numbers: `PlainConvUNet` and `ResidualEncoderUNet` of dynamic-network-architectures 0.4.4 (nnU-Net 2):
three levels below full resolution, unequal strides, kernels and layers a level, every parameter
`0.2 · sin(i + length of its name)` for its i-th value and the image `sin(i / 7)`; of each output level, full
resolution first, eight values spread evenly.
"""

import json

import pytest
import torch

from model.networks.build import build
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec
from tests.places import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/nnunet_networks.json").read_text(encoding="utf-8"))
SIZES = {
    "in_channels": 2,
    "out_channels": 3,
    "features": (4, 8, 16, 16),
    "strides": ((1, 2, 2), (2, 2, 2), (2, 2, 2)),
    "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "deep_supervision": 3,
}
SPECS = {
    "plain": PlainUNetSpec(**SIZES, encoder_convolutions=(2, 3, 2, 1), decoder_convolutions=(3, 2, 1)),
    "residual": ResidualUNetSpec(**SIZES, encoder_blocks=(1, 3, 2, 1), decoder_convolutions=(1, 1, 1)),
}
LEVELS = 3
"""Of the decoder."""


def leaf(parts):
    return ".".join("conv" if part == "convolution" else part for part in parts)


def nnunet_name(name, spec):
    """What nnU-Net calls one of our parameters; its decoder counts stages from the coarsest."""
    part, *rest = name.split(".")
    if part == "stem":
        return f"encoder.stem.convs.0.{leaf(rest)}"
    level = int(rest[0])
    stage = LEVELS - 1 - level
    if part == "heads":
        return f"decoder.seg_layers.{stage}.{rest[1]}"
    if part == "decoder" and rest[1] == "up":
        return f"decoder.transpconvs.{stage}.{rest[2]}"
    if part == "decoder":
        return f"decoder.stages.{stage}.convs.{rest[2]}.{leaf(rest[3:])}"
    if isinstance(spec, PlainUNetSpec):
        return f"encoder.stages.{level}.0.convs.{rest[1]}.{leaf(rest[2:])}"
    block = f"encoder.stages.{level}.blocks.{rest[1]}"
    pooled = level > 0 and rest[1] == "0"
    inside = {"first": "conv1", "second": "conv2", "project": f"skip.{int(pooled)}"}[rest[2]]
    return f"{block}.{inside}.{leaf(rest[3:])}"


def values(count, shift):
    return torch.sin(torch.arange(count, dtype=torch.float64) + shift)


def eight(level):
    flat = level.detach().double().flatten()
    return flat[torch.linspace(0, flat.numel() - 1, 8).long()].tolist()


@pytest.mark.parametrize("name", SPECS)
def test_outputs_are_nnunets(name):
    spec = SPECS[name]
    network = build(spec).train()
    named = {nnunet_name(ours, spec): parameter for ours, parameter in network.named_parameters()}
    assert sorted(named) == GOLDEN[name]["parameters"]
    with torch.no_grad():
        for theirs, parameter in named.items():
            parameter.copy_(0.2 * values(parameter.numel(), len(theirs)).reshape(parameter.shape))
        image = torch.sin(torch.arange(2 * 8 * 16 * 16) / 7).reshape(1, 2, 8, 16, 16)
        levels = network(image)
    assert [list(level.shape) for level in levels] == GOLDEN[name]["shapes"]
    for level, expected in zip(levels, GOLDEN[name]["values"], strict=True):
        assert eight(level) == pytest.approx(expected, abs=1e-5)
