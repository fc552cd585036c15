"""Instance norm that leaves activations in their layout is instance norm."""

import copy

import pytest
import torch
from torch import nn

from training.runs.channels_last_norm import normalize_channels_last

LAYOUT = torch.channels_last_3d


def norms(channels=3):
    """torch's own norm, and the same one in its layout."""
    torch.manual_seed(0)
    plain = nn.InstanceNorm3d(channels, affine=True)
    nn.init.uniform_(plain.weight, 0.5, 2)
    nn.init.uniform_(plain.bias, -1, 1)
    changed = copy.deepcopy(plain)
    normalize_channels_last(changed)
    return plain, changed


def outcome(norm, x):
    """Output, and gradients of everything."""
    x = x.detach().requires_grad_()
    norm.zero_grad()
    y = norm(x)
    # Rounded alike for both types.
    y.backward(torch.linspace(-1, 1, y.numel()).bfloat16().to(y.dtype).reshape(y.shape))
    return y.detach(), x.grad, norm.weight.grad.clone(), norm.bias.grad.clone()


def test_two_values_become_plus_and_minus_one():
    norm = nn.InstanceNorm3d(1, affine=True, eps=0)
    normalize_channels_last(norm)
    x = torch.tensor([[5.0, 9.0], [-2.0, -2.5]]).view(2, 1, 1, 1, 2)
    assert norm(x).flatten().tolist() == pytest.approx([-1, 1, 1, -1])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_those_of_torch(batch, dtype, near):
    plain, changed = norms()
    x = (torch.randn(batch, 3, 4, 5, 6) * 3 + 2).to(dtype)
    expected = outcome(plain, x.float())
    found = outcome(changed, x.to(memory_format=LAYOUT))
    assert found[0].dtype == found[1].dtype == dtype
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=near, atol=near * float(other.abs().max()))


def test_the_layout_stays_whatever_comes_in():
    _, norm = norms()
    x = torch.randn(2, 3, 4, 4, 4)
    for given in (x, x.to(memory_format=LAYOUT)):
        assert norm(given).is_contiguous(memory_format=LAYOUT)


def test_weights_keep_their_names():
    plain, changed = norms()
    assert changed.state_dict().keys() == plain.state_dict().keys()


def test_sums_over_many_voxels_stay_exact():
    """A million voxels about 100; added up one by one in float32, their mean would be off by 1e-3."""
    torch.manual_seed(0)
    x = 100 + torch.randn(1, 1, 64, 128, 128)
    norm = nn.InstanceNorm3d(1, affine=True)
    expected = (x.double() - x.double().mean()) / (x.double().var(correction=0) + norm.eps).sqrt()
    normalize_channels_last(norm)
    torch.testing.assert_close(norm(x).double(), expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize("case", ["judged", "of another type"])
def test_torchs_own_norm_elsewhere(case):
    plain, changed = norms()
    x = torch.randn(2, 3, 4, 4, 4).to(memory_format=LAYOUT)
    if case == "judged":
        plain.eval(), changed.eval()
    else:
        plain, changed, x = plain.double(), changed.double(), x.double()
    assert torch.equal(changed(x), plain(x))


def test_a_copy_computes_with_its_own_weights():
    _, changed = norms()
    other = copy.deepcopy(changed)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 3, 4, 4, 4)
    assert changed(x).any()
    assert not other(x).any()
