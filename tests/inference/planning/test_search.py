"""The first choice that fits, found with few looks."""

from itertools import product

import pytest

from inference.planning.search import first_fitting, smallest


def search(sizes, limit, depths=1):
    """The first size whose numbers add up to a limit at most, and those that were looked at."""
    looked = []

    def fitting(index):
        looked.append(sizes[index])
        return sizes[index] if sum(sizes[index]) <= limit else None

    return first_fitting(sizes, depths, fitting), looked


def test_by_hand():
    """After 4 and 8 the smallest of depth 4 is looked at, which does not fit: none of depth 4 does.

    Of depth 2 the smallest fits, and so does 4 below 6; that is looked at again when its turn comes.
    """
    sizes = [(4, 8), (4, 6), (2, 6), (4, 4), (2, 4), (2, 2)]
    found, looked = search(sizes, 6)
    assert found == (2, 4)
    assert looked == [(4, 8), (4, 4), (2, 6), (2, 2), (2, 4), (2, 4)]


def test_the_first_that_fits_is_found_at_once():
    assert search([(4, 8), (2, 2)], 12) == ((4, 8), [(4, 8)])


def test_nothing_fits():
    """The smallest shows it for all."""
    sizes = [(depth, voxels) for voxels in range(100, 0, -1) for depth in (2, 1)]
    found, looked = search(sizes, 1)
    assert found is None
    assert len(looked) == 4  # The first and the smallest of each depth.


def test_a_thousand_choices_take_a_dozen_looks():
    """1000 voxels do not, 1 does; the limit is halved out of 1000 in 10 looks, and looked at again."""
    sizes = [(1, voxels) for voxels in range(1000, 0, -1)]
    found, looked = search(sizes, 500)
    assert found == (1, 499)
    assert len(looked) <= 13


@pytest.mark.parametrize("depths", [1, 2])
def test_it_is_the_first_that_fits(depths):
    """As going through all of them finds it, whatever their order."""
    sizes = [(a, b, c) for c, a, b in product((7, 3, 5, 1), (2, 6, 4), (5, 1, 3))]
    for limit in range(3, 20):
        found, looked = search(sizes, limit, depths)
        assert found == next((size for size in sizes if sum(size) <= limit), None)
        assert len(looked) == len(set(looked)) + (looked[-1] in looked[:-1])


def test_the_smallest_are_those_that_cover_no_other():
    """(3, 2) covers (2, 2). (1, 4) and (2, 2) are each smaller in one number. Equals count once."""
    sizes = [(3, 2), (1, 4), (2, 2), (2, 2), (1, 5)]
    assert [sizes[index] for index in smallest(sizes)] == [(1, 4), (2, 2)]
    assert smallest([]) == []
