"""Where a network is cut, and what waits for what."""

from types import SimpleNamespace

import pytest

from training.distributed.block_costs import balanced, block_bytes, bubble_share, micro_batches_of
from training.distributed.process_grid import stages_of
from training.distributed.ranks import ALONE, Ranks
from training.training_errors import RecipeError


@pytest.mark.parametrize(
    ("costs", "parts", "lengths"),
    [
        ([3, 1, 1, 1, 3], 1, [5]),
        ([3, 1, 1, 1, 3], 3, [1, 3, 1]),
        ([16, 4, 1, 4, 16], 2, [2, 3]),
        # The ends cost most: a fourth stage would make none cheaper.
        ([16, 4, 1, 4, 16], 3, [1, 3, 1]),
        ([0, 0, 5], 3, [1, 1, 1]),
    ],
)
def test_parts_cost_alike(costs, parts, lengths):
    found = balanced(costs, parts)
    assert [len(part) for part in found] == lengths
    assert [number for part in found for number in part] == list(range(len(costs)))


def test_a_block_keeps_all_micro_batches_and_four_numbers_a_weight():
    """Three micro-batches keep 100 bytes each; ten weights, their gradients and two moments take 4 each."""
    skeleton = SimpleNamespace(
        blocks=["only"],
        trace=lambda image, training: [SimpleNamespace(kept_bytes=100)],
        weights_of=lambda block: 10,
    )
    assert block_bytes(skeleton, (1, 1, 4, 4, 4), micro_batches=3, moments=2) == [3 * 100 + 4 * 4 * 10]


def test_the_bubble_is_gpipes():
    assert bubble_share(1, 4) == 0
    assert bubble_share(2, 1) == 1 / 2
    assert bubble_share(2, 4) == 1 / 5
    assert bubble_share(3, 4) == 2 / 6


def test_a_batch_smaller_than_the_micro_batches_has_one_for_each_patch():
    assert [micro_batches_of(patches, 4) for patches in (1, 2, 4, 16)] == [1, 2, 4, 4]


def test_micro_batches_that_would_not_be_equal_are_refused():
    with pytest.raises(
        RecipeError, match=r"pipeline\.micro_batches: 6 patches of a process cannot be cut in"
    ):
        micro_batches_of(6, 4)


def test_stages_are_as_many_as_processes_where_none_are_stated():
    assert stages_of(None, 9, ALONE) == 1
    assert stages_of(None, 9, Ranks(rank=1, world=3)) == 3
    assert stages_of(2, 9, Ranks(rank=1, world=4)) == 2


@pytest.mark.parametrize(
    ("stated", "world", "said"),
    [
        (3, 2, "3 stages need a multiple of 3 processes, not 2; start torchrun with --nproc-per-node 3"),
        (2, 1, "2 stages need a multiple of 2 processes, not 1"),
        (2, 3, "2 stages need a multiple of 2 processes, not 3"),
        (None, 12, "12 stages are more than the 9 blocks of this network"),
    ],
)
def test_stages_that_processes_or_blocks_do_not_allow_are_refused(stated, world, said):
    with pytest.raises(RecipeError, match=said):
        stages_of(stated, 9, Ranks(rank=0, world=world))
