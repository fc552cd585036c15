"""Every kind of network is built by one path, answers alike, and computes what its parts say."""

import pytest
import torch
from torch import nn

from model.networks.build import BUILDERS, build
from model.networks.layers import ConvNorm, ResidualBlock, SqueezeExcitation
from model.networks.spec import SegResNetSpec
from model.networks.unet_specs import PlainUNetSpec, SEUNetSpec
from tests.model.networks.small import SMALL, WINDOW

ALL = pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.kind)


def test_there_is_a_builder_for_each_kind_and_a_test_for_each_builder():
    assert {spec.kind for spec in SMALL} == set(BUILDERS)


@ALL
def test_evaluation_gives_logits_of_the_window(spec):
    logits = build(spec).eval()(torch.zeros(1, 1, *WINDOW))
    assert logits.shape == (1, 3, *WINDOW)


@ALL
def test_training_gives_a_list_whose_sides_follow_the_strides(spec):
    levels = build(spec).train()(torch.zeros(2, 1, *WINDOW))
    expected = [
        (2, 3, *(side // step for side, step in zip(WINDOW, stride, strict=True)))
        for stride in spec.output_strides_zyx
    ]
    assert [tuple(level.shape) for level in levels] == expected


@ALL
def test_the_smallest_window_that_the_specification_allows_runs(spec):
    smallest = tuple(2 * side for side in spec.stride_zyx)  # Norms need more than one voxel a channel.
    spec.check_window(smallest)
    assert torch.isfinite(build(spec).eval()(torch.randn(1, 1, *smallest))).all()


@ALL
def test_every_parameter_learns_from_the_levels_together(spec):
    network = build(spec).train()
    sum(level.square().mean() for level in network(torch.randn(2, 1, *WINDOW))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@ALL
def test_same_torch_seed_same_weights(spec):
    def weights():
        torch.manual_seed(3)
        return build(spec).state_dict()

    one, other = weights(), weights()
    assert all(torch.equal(one[name], other[name]) for name in one)


@ALL
def test_evaluation_is_the_first_level_of_training(spec):
    network = build(spec).eval()
    image = torch.randn(1, 1, *WINDOW)
    expected = network(image)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eval()
    torch.testing.assert_close(network(image)[0], expected)


def test_without_deep_supervision_training_gives_a_list_of_one():
    spec = SegResNetSpec(out_channels=2, init_filters=4, blocks_down=(1, 1), dsdepth=1)
    assert len(build(spec).train()(torch.zeros(1, 1, 4, 4, 4))) == 1


@pytest.mark.parametrize(
    ("norm", "layer"), [("instance", nn.InstanceNorm3d), ("group", nn.GroupNorm), ("batch", nn.BatchNorm3d)]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda norm: SegResNetSpec(out_channels=2, init_filters=8, blocks_down=(1, 1), dsdepth=1, norm=norm),
        lambda norm: SEUNetSpec(out_channels=2, init_filters=8, levels=2, norm=norm),
    ],
)
def test_norms_are_the_ones_stated(make, norm, layer):
    kinds = (nn.InstanceNorm3d, nn.GroupNorm, nn.BatchNorm3d)
    found = {type(module) for module in build(make(norm)).modules() if isinstance(module, kinds)}
    assert found == {layer}


def test_parameters_of_the_smallest_segresnet_counted_by_hand():
    # Levels of 1 and 2 channels. First convolution 27; blocks 2·27 + 2·2 and 2·4·27 + 2·4; down 2·27; up
    # 2·27; decoder block 2·27 + 2·2; head 1·2 + 2.
    spec = SegResNetSpec(out_channels=2, init_filters=1, blocks_down=(1, 1), dsdepth=1)
    expected = 27 + (54 + 4) + 54 + (216 + 8) + 54 + (54 + 4) + 4
    assert sum(parameter.numel() for parameter in build(spec).parameters()) == expected


def test_parameters_of_the_smallest_plain_unet_counted_by_hand():
    # Convolutions with bias and norm: 1→1 27+1+2, 1→2 54+2+4; up 2→1 2·4+1; joined 2→1 54+1+2; head 2+2.
    spec = PlainUNetSpec(
        out_channels=2,
        features=(1, 2),
        strides=((1, 2, 2),),
        encoder_convolutions=(1, 1),
        decoder_convolutions=(1,),
    )
    assert sum(parameter.numel() for parameter in build(spec).parameters()) == 30 + 60 + 9 + 57 + 4


def test_lists_are_by_level_full_resolution_first():
    plain = next(spec for spec in SMALL if spec.kind == "plain_unet")
    weights = build(plain).state_dict()
    assert weights["encoder.0.0.convolution.weight"].shape == (4, 1, 1, 3, 3)
    assert weights["encoder.2.2.convolution.weight"].shape == (8, 8, 3, 3, 3)
    assert weights["decoder.0.up.weight"].shape == (6, 4, 1, 2, 2)
    assert "decoder.0.block.2.convolution.weight" in weights
    assert "decoder.2.block.1.convolution.weight" not in weights
    assert weights["heads.0.weight"].shape == (3, 4, 1, 1, 1)
    assert weights["heads.2.weight"].shape == (3, 8, 1, 1, 1)


def test_weights_are_drawn_after_he_and_biases_are_zero():
    torch.manual_seed(0)
    layer = build(PlainUNetSpec(out_channels=2, features=(32, 64), strides=((2, 2, 2),))).encoder[1][1]
    # Standard deviation sqrt(2 / (1 + 0.01²)) / sqrt(64 · 27).
    assert layer.convolution.weight.std().item() == pytest.approx((2 / (64 * 27)) ** 0.5, rel=0.02)
    assert not layer.convolution.bias.any()


def test_a_residual_block_whose_convolutions_give_nothing_averages_blocks():
    block = ResidualBlock(1, 1, (3, 3, 3), (1, 1, 2)).eval()
    nn.init.zeros_(block.second.norm.weight)
    image = torch.tensor([1.0, 3.0, -5.0, -1.0]).reshape(1, 1, 1, 1, 4)
    # Means 2 and -3; leaky ReLU lets a hundredth of what is below 0 through.
    torch.testing.assert_close(block(image).flatten(), torch.tensor([2.0, -0.03]))


def test_a_residual_block_projects_only_where_channels_change():
    assert isinstance(ResidualBlock(4, 4, (3, 3, 3), (2, 2, 2)).project, nn.Identity)
    projection = ResidualBlock(4, 8, (3, 3, 3), (2, 2, 2)).project
    assert isinstance(projection, ConvNorm)
    assert projection.convolution.bias is None


def test_excitation_scales_each_channel_as_a_whole():
    layer = SqueezeExcitation(2, reduction=2)
    with torch.no_grad():
        layer.squeeze.weight.fill_(1.0)
        layer.squeeze.bias.zero_()
        layer.excite.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1))
        layer.excite.bias.zero_()
    image = torch.tensor([1.0, 3.0, 0.0, 0.0]).reshape(1, 2, 1, 1, 2)
    # Means 2 and 0, squeezed to 2; factors 1 / (1 + e^-2) and 1 / (1 + e^2).
    factor = torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(layer(image).flatten(), torch.tensor([factor, 3 * factor, 0.0, 0.0]))


def test_reduction_leaves_one_channel_at_least():
    assert SqueezeExcitation(4, reduction=16).squeeze.out_channels == 1
