"""Generators that are told apart by their keys, whose numbers stay."""

import numpy as np

from training.random_streams import Stream, generator_of_name


def test_no_number_changes():
    """The same seed gives the same folds, patches and cases in every release."""
    assert {name: int(stream) for name, stream in Stream.__members__.items()} == {
        "HELD_OUT": 0,
        "FOLDS": 1,
        "EPOCH_ORDER": 1,
        "PATCH": 2,
        "ANY_CASE": 3,
        "AUGMENTATION": 4,
        "FRESH_OR_STORED": 4,
        "FRESH_CASE": 5,
    }


def first_of(*key):
    return np.random.default_rng(key).integers(1 << 60)


def test_short_keys_are_those_that_go_on_with_zeros_up_to_four_numbers():
    assert first_of(7, Stream.FOLDS) == first_of(7, 1, 0) == first_of(7, 1, 0, 0)
    assert first_of(7, Stream.FRESH_OR_STORED, 3) != first_of(7, Stream.AUGMENTATION, 3, 0, 0)


def test_what_is_drawn_of_a_name_is_known_by_it_alone():
    one, same, other = (generator_of_name(name).integers(1 << 60) for name in ("a", "a", "b"))
    assert one == same != other
