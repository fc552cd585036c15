"""Batches depend on the seed and the step, not on who made them or when."""

import itertools

import pytest
import torch

from tests.training.tiny import tiny_recipe
from training.data.batches import batches, case_of, make_batch
from training.data.folders import labelled_cases
from training.data.store import CaseStore

RECIPE = tiny_recipe(stopping={"kind": "fixed_steps", "steps": 5}, sampling={"batch_size": 2})


@pytest.fixture
def store(cubes):
    return CaseStore(labelled_cases(cubes), RECIPE, cache_mb=10)


def test_every_epoch_shows_each_case_once_in_an_order_of_its_own():
    epochs = [[case_of(epoch * 10 + place, 10, seed=3) for place in range(10)] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_shapes_and_types(store):
    batch = make_batch(store, RECIPE, seed=0, step=0)
    assert (batch.images.shape, batch.images.dtype) == ((2, 1, 16, 16, 16), torch.float32)
    assert (batch.target.shape, batch.target.dtype) == ((2, 16, 16, 16), torch.uint8)
    assert (batch.annotated.shape, batch.annotated.dtype) == ((2, 5), torch.bool)
    assert batch.annotated.all()


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_and_do_not_depend_on_the_number_of_workers(store, workers):
    made = list(batches(store, RECIPE, seed=1, first_step=2, workers=workers))
    assert [step for step, _ in made] == [2, 3, 4]
    for step, batch in made:
        again = make_batch(store, RECIPE, seed=1, step=step)
        assert torch.equal(batch.images, again.images)
        assert torch.equal(batch.target, again.target)


def test_steps_and_seeds_give_different_patches(store):
    made = [make_batch(store, RECIPE, seed, step).images for seed, step in ((0, 0), (0, 1), (1, 0))]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(made, 2))
    assert not torch.equal(made[0][0], made[0][1])


def test_stopping_early_stops_the_workers(store):
    source = batches(store, RECIPE, seed=0, first_step=0, workers=2)
    next(source)
    source.close()
    with pytest.raises(StopIteration):
        next(source)
