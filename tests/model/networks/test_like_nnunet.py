"""The plain and residual U-Nets compute what nnU-Net's own classes compute, with weights of the same values.

Golden numbers: `PlainConvUNet` and `ResidualEncoderUNet` of dynamic-network-architectures 0.4.4 (nnU-Net 2):
three levels below full resolution, unequal strides, kernels and layers a level, every parameter
`0.2 · sin(i + length of its name)` for its i-th value and the image `sin(i / 7)`; of each output level, full
resolution first, eight values spread evenly.
"""

import json

import pytest
import torch

from model.importers.nnunet_weights import nnunet_name
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
