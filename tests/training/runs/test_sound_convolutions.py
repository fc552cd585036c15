"""Convolutions in bf16 on a CPU take images with a side below the kernel's in float32."""

import copy

import pytest
import torch
from torch import nn

from training.runs.sound_convolutions import convolve_soundly

FP32, BF16 = torch.float32, torch.bfloat16
SIDES = [
    ((2, 6, 6), FP32),
    ((6, 2, 6), FP32),
    ((6, 6, 1), FP32),
    ((8, 1, 1), FP32),
    ((3, 3, 3), BF16),
]


def convolutions(**options):
    """torch's own convolution, and the same one that is sound."""
    torch.manual_seed(0)
    plain = nn.Conv3d(4, 8, options.pop("kernel_size", 3), **options)
    changed = copy.deepcopy(plain)
    convolve_soundly(changed)
    return plain, changed


def in_bf16(module, x):
    with torch.autocast("cpu", torch.bfloat16):
        return module(x)


def gradients(module, y, x):
    return torch.autograd.grad(y.float().square().sum(), (x, *module.parameters()))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("shape_zyx", "dtype"), SIDES)
def test_images_with_a_side_below_the_kernels_are_taken_in_fp32(shape_zyx, dtype, stride):
    """In bfloat16 some processors give gradients of whatever lay in memory, or end the process."""
    plain, changed = convolutions(padding=1, stride=stride)
    x = torch.randn(1, 4, *shape_zyx, requires_grad=True)
    given = in_bf16(changed, x)
    assert given.dtype is dtype
    if dtype is FP32:
        expected = gradients(plain, plain(x), x)
        for a, b in zip(gradients(changed, given, x), expected, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(("shape_zyx", "dtype"), [((1, 3, 3), BF16), ((1, 2, 3), FP32), ((1, 3, 2), FP32)])
def test_each_side_is_compared_with_the_kernels_own(shape_zyx, dtype):
    _, changed = convolutions(kernel_size=(1, 3, 3), padding=(0, 1, 1))
    assert in_bf16(changed, torch.ones(1, 4, *shape_zyx)).dtype is dtype


@pytest.mark.parametrize(("shape_zyx", "dtype"), SIDES)
def test_what_is_compiled_is_as_sound(shape_zyx, dtype):
    """As `torch.compile` sees it; computed without a compiler."""
    _, changed = convolutions(padding=1)
    changed.compile(backend="eager", fullgraph=True)
    assert in_bf16(changed, torch.ones(1, 4, *shape_zyx)).dtype is dtype


def test_torchs_own_elsewhere():
    """Judged, in float32, and of kinds that compute otherwise."""
    x = torch.randn(1, 4, 2, 6, 6)
    plain, changed = convolutions(padding=1)
    assert torch.equal(changed(x), plain(x))
    changed.eval()
    assert torch.equal(in_bf16(changed, x), in_bf16(plain, x))

    class Doubled(nn.Conv3d):
        def forward(self, input):
            return 2 * super().forward(input)

    doubled = Doubled(4, 8, 3, padding=1)
    expected = doubled(x)
    convolve_soundly(doubled)
    assert torch.equal(doubled(x), expected)


def test_a_copy_computes_with_its_own_weights():
    _, changed = convolutions(padding=1)
    other = copy.deepcopy(changed)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    assert changed.state_dict().keys() == other.state_dict().keys()
    assert in_bf16(changed, torch.ones(1, 4, 2, 6, 6)).any()
    assert not in_bf16(other, torch.ones(1, 4, 2, 6, 6)).any()
