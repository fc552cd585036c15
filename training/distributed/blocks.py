"""Networks as consecutive blocks, of which a process may have a part; skips are carried from block to block.

What enters a block is a stack of features, the newest last, and the logits found so far. An encoder block
looks at the newest features and adds its own; a decoder block takes the newest and the skip below them, which
is the encoder's of its level, and adds its own; where its level is supervised, it adds logits. So every part
is a function from tensors to tensors, and a skip that passes by is one of its outputs, as in LAMP (Zhu et
al., MICCAI 2020).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from monai.networks.nets import SegResNetDS
from torch import Tensor, nn

from model.networks.unet import UNet

Autocast = Callable[[], AbstractContextManager[object]]
"""Makes a context in which a network computes in the run's precision."""


@dataclass(kw_only=True)
class Carried:
    """What goes from block to block."""

    features: list[Tensor]
    """The newest last; first of all, the image."""
    logits: list[Tensor] = field(default_factory=list)
    """Of the supervised levels so far, the finest first."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One level of an encoder or a decoder."""

    name: str
    modules: tuple[str, ...]
    """The submodules that this block alone needs, by their paths in the network."""
    features: int
    """How many features are carried on behind it."""
    run: Callable[[Any, Carried], None]
    """Takes the network, and changes what is carried."""


def blocks_of(network: nn.Module) -> tuple[Block, ...]:
    """The blocks of a network of `model.networks.build`, in order; one after another they are the network."""
    return _unet_blocks(network) if isinstance(network, UNet) else _segresnet_blocks(network)


def _unet_blocks(network: UNet) -> tuple[Block, ...]:
    levels = len(network.encoder)
    encoder = [
        Block(
            name=f"encoder.{level}",
            modules=(f"encoder.{level}", *(("stem",) if level == 0 else ())),
            features=level + 1,
            run=partial(_encode, level=level),
        )
        for level in range(levels)
    ]
    decoder = [
        Block(
            name=f"decoder.{level}",
            modules=(f"decoder.{level}", *((f"heads.{level}",) if level < len(network.heads) else ())),
            features=level + 1,
            run=partial(_decode, level=level),
        )
        for level in reversed(range(levels - 1))
    ]
    return (*encoder, *decoder)


def _encode(network: UNet, carried: Carried, *, level: int) -> None:
    x = network.stem(carried.features.pop()) if level == 0 else carried.features[-1]
    carried.features.append(network.encoder[level](x))


def _decode(network: UNet, carried: Carried, *, level: int) -> None:
    x, skip = carried.features.pop(), carried.features.pop()
    x = network.decoder[level](x, skip)
    carried.features.append(x)
    if level == 0 or (network.training and level < len(network.heads)):
        carried.logits.insert(0, network.heads[level](x))


def _segresnet_blocks(network: nn.Module) -> tuple[Block, ...]:
    assert isinstance(network, SegResNetDS)
    levels = len(network.encoder.layers)
    encoder = [
        Block(
            name=f"encoder.{level}",
            # The convolution that shrinks to a level belongs to the level before it.
            modules=(
                f"encoder.layers.{level}.blocks",
                f"encoder.layers.{level - 1}.downsample" if level else "encoder.conv_init",
            ),
            features=level + 1,
            run=partial(_encode_segresnet, level=level),
        )
        for level in range(levels)
    ]
    decoder = [
        Block(
            name=f"decoder.{level}",
            modules=(f"up_layers.{levels - 2 - level}",),
            features=level + 1,
            run=partial(_decode_segresnet, level=level, index=levels - 2 - level),
        )
        for level in reversed(range(levels - 1))
    ]
    return (*encoder, *decoder)


def _encode_segresnet(network: SegResNetDS, carried: Carried, *, level: int) -> None:
    if level == 0:
        x = network.encoder.conv_init(carried.features.pop())
    else:
        x = network.encoder.layers[level - 1]["downsample"](carried.features[-1])
    carried.features.append(network.encoder.layers[level]["blocks"](x))


def _decode_segresnet(network: SegResNetDS, carried: Carried, *, level: int, index: int) -> None:
    x, skip = carried.features.pop(), carried.features.pop()
    layer = network.up_layers[index]
    x = layer["blocks"](layer["upsample"](x) + skip)
    carried.features.append(x)
    if level == 0 or (network.training and level < network.dsdepth):
        carried.logits.insert(0, layer["head"](x))


def keep_blocks(network: nn.Module, kept: range) -> None:
    """Take away, in place, the weights of all blocks but some; those that stay keep their names."""
    for number, block in enumerate(blocks_of(network)):
        if number not in kept:
            for path in block.modules:
                network.set_submodule(path, nn.Identity())


class Part(nn.Module):
    """Consecutive blocks of a network: from the tensors that enter them to those that leave them.

    The first part takes the image, the last one gives the logits, the finest first; between two parts go the
    features, the newest last, then the logits. Tensors cross in torch's plain layout, for gloo sends no
    other, and so do their gradients on the way back.

    Args:
        network: of which the blocks of this part are used, and no others need be there.
        blocks: of the whole network.
        own: the numbers of those of this part.
        autocast: in which precision they compute.
        layout: of the tensors inside.
    """

    def __init__(
        self,
        network: nn.Module,
        blocks: Sequence[Block],
        own: range,
        autocast: Autocast,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.network = network
        self._blocks, self._autocast, self._layout = [blocks[number] for number in own], autocast, layout
        self._enters = blocks[own.start - 1].features if own.start else 1
        self._is_first, self._is_last = own.start == 0, own.stop == len(blocks)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """What leaves the part."""
        if not self._is_first:
            tensors = tuple(_cross(x, self._layout, torch.contiguous_format) for x in tensors)
        carried = Carried(features=list(tensors[: self._enters]), logits=list(tensors[self._enters :]))
        with self._autocast():
            for block in self._blocks:
                block.run(self.network, carried)
        if self._is_last:
            return tuple(carried.logits)
        leaving = (*carried.features, *carried.logits)
        return tuple(_cross(x, torch.contiguous_format, self._layout) for x in leaving)


class _Crossing(torch.autograd.Function):
    """The same tensor in one layout, its gradient in another."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: torch.memory_format, back: torch.memory_format) -> Tensor:  # noqa: ANN401 - torch has no type for it
        ctx.back = back
        return x.contiguous(memory_format=there)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return gradients[0].contiguous(memory_format=ctx.back), None, None


def _cross(x: Tensor, there: torch.memory_format, back: torch.memory_format) -> Tensor:
    crossed: Tensor = _Crossing.apply(x, there, back)  # type: ignore[no-untyped-call]
    return crossed
