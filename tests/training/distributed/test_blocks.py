"""A network cut into parts is the network, whatever it is and wherever it is cut."""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch

from model.networks.build import build
from tests.training.tiny import tiny_recipe
from training.distributed.block_costs import Skeleton
from training.distributed.blocks import Part, blocks_of, keep_blocks
from training.distributed.cut import Cut
from training.distributed.process_grid import ProcessGrid
from training.distributed.ranks import ALONE, Ranks

CPU = torch.device("cpu")
NETWORKS = {
    "plain_unet": {"features": [4, 8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "deep_supervision": 2},
    "residual_unet": {"features": [4, 8], "strides": [[2, 2, 2]], "encoder_blocks": [1, 2]},
    "seunet": {"init_filters": 4, "levels": 3, "stem_stride": [2, 2, 2], "deep_supervision": 2},
    "segresnet": {"init_filters": 4, "blocks_down": [1, 2, 1], "dsdepth": 2},
}
BF16 = partial(torch.autocast, "cpu", torch.bfloat16)


def network_of(kind):
    torch.manual_seed(0)
    return build(tiny_recipe(network={"kind": kind, **NETWORKS[kind]}).network)


def parts_of(network):
    """Each block as a part of its own, which has the weights of that block and no others."""
    blocks = blocks_of(network)
    for number in range(len(blocks)):
        kept, own = copy.deepcopy(network), range(number, number + 1)
        keep_blocks(kept, own)
        yield Part(kept, blocks, own, nullcontext, torch.channels_last_3d)


def through(parts, image):
    carried = (image,)
    for part in parts:
        carried = part(*carried)
        assert all(x.is_contiguous() for x in carried) or part is parts[-1]
    return list(carried)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", NETWORKS)
def test_blocks_one_after_another_are_the_network(kind, training):
    network, image = network_of(kind), torch.rand(2, 1, 8, 8, 8)
    parts = [part.train(training) for part in parts_of(network)]
    whole = copy.deepcopy(network).train(training)(image)
    expected = whole if training else [whole]
    torch.testing.assert_close(through(parts, image), expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_weight_is_in_one_part_by_the_name_that_it_has_in_the_network(kind):
    network = network_of(kind)
    names = [name for part in parts_of(network) for name in part.network.state_dict()]
    assert sorted(names) == sorted(network.state_dict())


def test_gradients_cross_in_the_layout_that_gloo_sends():
    parts = list(parts_of(network_of("plain_unet")))
    image = torch.rand(2, 1, 8, 8, 8)
    entering = tuple(x.detach().requires_grad_() for x in parts[0](image))
    leaving = parts[1](*entering)
    torch.autograd.backward(leaving, [torch.rand_like(x) for x in leaving])
    assert all(x.grad.is_contiguous() for x in entering)


@pytest.mark.parametrize("autocast", [nullcontext, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", NETWORKS)
def test_shapes_and_types_are_known_before_anything_is_computed(kind, training, autocast):
    network, shape = network_of(kind).train(training), (2, 1, 8, 8, 8)
    torch.manual_seed(0)
    skeleton = Skeleton(lambda: network_of(kind), CPU, autocast)
    traced = skeleton.trace(shape, training=training)
    carried, blocks = (torch.rand(shape),), blocks_of(network)
    for number, block in enumerate(traced):
        carried = Part(network, blocks, range(number, number + 1), autocast)(*carried)
        assert [(x.shape, x.dtype) for x in carried] == [(x.shape, x.dtype) for x in block.leaving]


def test_what_a_block_keeps_is_counted_in_bytes():
    network = network_of("plain_unet")
    skeleton = Skeleton(lambda: network_of("plain_unet"), CPU, nullcontext)
    traced = skeleton.trace((1, 1, 8, 8, 8), training=True)
    # Of the first block: the image, and what comes out of two convolutions and of two norms with the
    # activation after them in the same place, 512 voxels each; and a mean and a deviation for each norm.
    kept = 512 * (1 + 4 * 4) * 4
    assert kept <= traced[0].kept_bytes <= kept + 1000
    # Two convolutions of 4 channels with bias, each with a norm's scale and shift.
    assert skeleton.weights_of(skeleton.blocks[0]) == (27 * 4 + 4 + 8) + (27 * 16 + 4 + 8)
    assert sum(skeleton.weights_of(block) for block in skeleton.blocks) == sum(
        weight.numel() for weight in network.parameters()
    )


def test_a_stage_is_planned_with_what_it_receives():
    """The middle one of three: its blocks for two micro-batches, buffers, and gradients."""
    skeleton = Skeleton(lambda: network_of("plain_unet"), CPU, nullcontext)
    traced = skeleton.trace((1, 1, 8, 8, 8), training=True)
    middle = ProcessGrid(stages=Ranks(rank=1, world=3), replicas=ALONE)
    cut = Cut(
        grid=middle,
        skeleton=skeleton,
        parts=[range(1), range(1, 4), range(4, 5)],
        costs=[2.0, 1.0, 1.0, 1.0, 3.0],
        micro_batches=2,
        numbers_a_weight=4,
    )
    assert cut.name(0) == "encoder.0"
    assert cut.name(1) == "encoder.1 to decoder.1"
    assert cut.share(1) == pytest.approx(3 / 8)
    kept = sum(block.kept_bytes for block in traced[1:4])
    # It receives 4 channels of 8³ voxels. It sends that skip on, 8 channels of the next level (8 × 4 × 4) and
    # that level's logits, 5 channels, and gets their gradients back.
    received, back = 4 * 512 * 4, (4 * 512 + 8 * 128 + 5 * 128) * 4
    weights = sum(skeleton.weights_of(block) for block in skeleton.blocks[1:4])
    assert cut.planned_bytes(traced, 2) == 2 * (kept + received + back) + 4 * weights
    assert cut.held_bytes == 3 * 4 * weights
