"""Networks are built from plain values."""

import pytest
import torch

from model.networks.build import build
from model.networks.spec import NetworkSpec
from model.schema import SchemaError, dump, parse

TINY = NetworkSpec(family="segresnet", out_channels=3, init_filters=4, blocks_down=(1, 1, 1), dsdepth=2)


def test_a_spec_survives_the_way_to_json_and_back():
    assert parse(NetworkSpec, dump(TINY)) == TINY


def test_evaluation_gives_logits_of_the_window():
    assert build(TINY).eval()(torch.zeros(1, 1, 8, 12, 16)).shape == (1, 3, 8, 12, 16)


def test_training_gives_one_output_for_each_level_of_deep_supervision():
    levels = build(TINY).train()(torch.zeros(2, 1, 8, 8, 8))
    assert [tuple(level.shape) for level in levels] == [(2, 3, 8, 8, 8), (2, 3, 4, 4, 4)]


def test_same_torch_seed_same_weights():
    def weights():
        torch.manual_seed(3)
        return build(TINY).state_dict()

    one, other = weights(), weights()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_parameters_of_the_smallest_network_counted_by_hand():
    # Levels of 1 and 2 channels. First convolution 27; blocks 2·27 + 2·2 and 2·4·27 + 2·4; down 2·27; up
    # 2·27; decoder block 2·27 + 2·2; head 1·2 + 2.
    spec = NetworkSpec(family="segresnet", out_channels=2, init_filters=1, blocks_down=(1, 1), dsdepth=1)
    assert (
        sum(parameter.numel() for parameter in build(spec).parameters())
        == 27 + (54 + 4) + 54 + (216 + 8) + 54 + (54 + 4) + 4
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"family": "transformer"}, "family"),
        ({"out_channels": 0}, "out_channels"),
        ({"blocks_down": [1]}, "blocks_down"),
        ({"blocks_down": [1, 0]}, "blocks_down"),
        ({"dsdepth": 3}, "dsdepth"),
        ({"init_filters": 2.5}, "init_filters"),
    ],
)
def test_a_faulty_field_is_named(changes, field):
    with pytest.raises(SchemaError, match=f"^{field}: must be"):
        parse(NetworkSpec, {**dump(TINY), **changes})


def test_windows_must_halve_evenly():
    assert TINY.stride == 4
    TINY.check_window((8, 4, 12))
    with pytest.raises(ValueError, match="multiples of 4"):
        TINY.check_window((8, 4, 10))
