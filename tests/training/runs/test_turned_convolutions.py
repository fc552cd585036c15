"""Convolutions that turn a patch are convolutions, and turn it where torch would take its slow kernels."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from training.runs.turned_convolutions import turn_convolutions

SMALL = (1, 48, 12, 28, 36)
"""48 × 12 × 28 = 16128 are few for torch, 48 × 28 × 36 = 48384 many."""
TURNED = (1, 48, 36, 28, 12)


class Convolved(TorchDispatchMode):
    """Shapes of what is convolved, and by which kernels."""

    def __init__(self):
        super().__init__()
        self.shapes, self.kernels = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            self.shapes.append(tuple(args[0].shape))
            self.kernels.append(torch._C._select_conv_backend(*args))
        return function(*args, **(kwargs or {}))


def convolutions(channels, **options):
    """torch's own convolution, and the same one that turns."""
    torch.manual_seed(0)
    plain = nn.Conv3d(channels, 8, options.pop("kernel_size", 3), **options)
    changed = copy.deepcopy(plain)
    turn_convolutions(changed)
    return plain, changed


def seen(module, x):
    with Convolved() as all_seen:
        module(x)
    return all_seen


def convolved(module, x):
    return seen(module, x).shapes


def outcome(module, x):
    """Output, and gradients of everything."""
    x = x.detach().requires_grad_()
    module.zero_grad()
    y = module(x)
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
    return y.detach(), x.grad, *(parameter.grad.clone() for parameter in module.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": (0, 1, 2), "stride": (1, 2, 3), "kernel_size": (1, 3, 5)},
        {"padding": (2, 1, 1), "dilation": (2, 1, 1), "bias": False},
    ],
    ids=["plain", "strided", "dilated"],
)
def test_values_and_gradients_are_those_of_torch_in_float64(options):
    plain, changed = convolutions(48, **options)
    x = torch.randn(SMALL)
    expected = outcome(copy.deepcopy(plain).double(), x.double())
    assert convolved(changed, x) == [TURNED]
    for one, other in zip(outcome(changed, x), expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize(
    ("shape", "turned"),
    [
        ((1, 48, 28, 12, 36), (1, 48, 36, 28, 12)),
        ((1, 20480 // 100, 10, 10, 11), (1, 20480 // 100, 11, 10, 10)),
    ],
)
def test_the_shortest_side_comes_last(shape, turned):
    _, changed = convolutions(shape[1], padding=1)
    assert convolved(changed, torch.randn(shape)) == [turned]


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((2, 48, 12, 28, 36), "several patches"),
        ((1, 48, 12, 36, 36), "large as it is: 48 × 12 × 36 = 20736"),
        ((1, 8, 8, 8, 8), "small however it lies"),
    ],
)
def test_as_it_is_where_turning_changes_nothing(shape, why):
    _, changed = convolutions(shape[1], padding=1)
    assert convolved(changed, torch.randn(shape)) == [shape], why


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_turned_ones_are_computed_by_onednn(layout):
    plain, changed = (module.to(memory_format=layout) for module in convolutions(48, padding=1))
    x = torch.randn(SMALL).to(memory_format=layout)
    assert seen(plain, x).kernels == [torch._C._ConvBackend.Slow3d]
    assert seen(changed, x).kernels == [torch._C._ConvBackend.Mkldnn]
    assert outcome(changed, x)[0].shape == plain(x).shape


def test_not_turned_where_onednn_would_not_compute_it():
    x = torch.randn(SMALL)
    _, changed = convolutions(48, padding=1)
    with torch.backends.mkldnn.flags(enabled=False):
        assert convolved(changed, x) == [SMALL]
    assert convolved(changed, x) == [TURNED]


@pytest.mark.parametrize(("threads", "shape"), [(1, SMALL), (2, TURNED)])
def test_kernels_of_one_voxel_are_fast_with_several_threads_alone(threads, shape):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _, changed = convolutions(48, kernel_size=1)
        assert convolved(changed, torch.randn(SMALL)) == [shape]
    finally:
        torch.set_num_threads(before)


def test_large_kernels_are_fast_as_they_are():
    _, changed = convolutions(48, kernel_size=(1, 5, 5), padding=(0, 2, 2))
    assert convolved(changed, torch.randn(SMALL)) == [SMALL]


def test_a_convolution_that_computes_otherwise_is_left_alone():
    class Doubled(nn.Conv3d):
        def forward(self, input):
            return 2 * super().forward(input)

    module = Doubled(48, 8, 3, padding=1)
    expected = module(torch.ones(SMALL))
    turn_convolutions(module)
    assert torch.equal(module(torch.ones(SMALL)), expected)


def test_torchs_own_elsewhere():
    """Judged, in other types, and of kinds that nobody turns."""
    x = torch.randn(SMALL)
    plain, changed = convolutions(48, padding=1)
    assert convolved(changed.eval(), x) == [SMALL]
    assert torch.equal(changed(x), plain.eval()(x))
    _, changed = convolutions(48, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolved(changed, x) == [SMALL]
    for options in (
        {"padding": 1, "groups": 2},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "circular"},
    ):
        plain, changed = convolutions(48, **options)
        assert torch.equal(changed(x), plain(x))


def test_weights_keep_their_names():
    plain, changed = convolutions(48)
    assert changed.state_dict().keys() == plain.state_dict().keys()


def test_a_copy_computes_with_its_own_weights():
    _, changed = convolutions(48, padding=1)
    other = copy.deepcopy(changed)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    assert changed(torch.ones(SMALL)).any()
    assert not other(torch.ones(SMALL)).any()


def test_images_too_small_for_bf16_are_taken_in_fp32():
    """As `sound_convolutions` has it."""
    _, changed = convolutions(4, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert changed(torch.ones(1, 4, 2, 6, 6)).dtype is torch.float32
        assert changed(torch.ones(1, 4, 3, 6, 6)).dtype is torch.bfloat16
