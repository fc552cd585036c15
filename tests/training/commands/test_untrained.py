import pytest
import torch

from model.bundle import load_bundle
from model.networks.plain_unet import FLARE22_SMALL, PlainUNetSpec, build_plain_unet
from training.commands.untrained import random_network, write_untrained

TINY = PlainUNetSpec(out_channels=3, filters=(2, 4, 8), strides_zyx=((1, 2, 2), (2, 2, 2)))


def test_the_published_small_network():
    assert sum(parameter.numel() for parameter in build_plain_unet(FLARE22_SMALL).parameters()) == 5_644_318


@pytest.mark.parametrize(
    ("filters", "strides", "message"),
    [((2, 4, 8), ((2, 2, 2),), "one fewer"), ((2, 4), ((2, 2, 2),), "three levels")],
)
def test_sizes_that_make_no_network_are_refused(filters, strides, message):
    with pytest.raises(ValueError, match=message):
        PlainUNetSpec(out_channels=2, filters=filters, strides_zyx=strides)


def test_a_seed_is_a_network():
    one, same, other = (random_network(TINY, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in one.values())


def test_the_bundle_is_whole(tmp_path):
    write_untrained(tmp_path / "bundle", TINY, (8, 16, 16), seed=0)
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.output.channels == ("background", "liver", "right kidney")
    assert manifest.members[0].window_zyx == (8, 16, 16)
    assert min(manifest.members[0].memory_mb.values()) > 0
