"""Batches depend on the seed and the step, not on who made them or when."""

import itertools

import numpy as np
import pytest
import torch

from tests.training.tiny import tiny_recipe
from training.data.augmenting import augmented
from training.data.batches import any_case, batches, case_of, make_batch
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
    batch = augmented(make_batch(store, RECIPE, seed=0, step=0), RECIPE, torch.device("cpu"))
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


def test_a_stage_counts_its_patches_from_its_own_first_step(store):
    (step, batch), *_ = batches(store, RECIPE, seed=1, first_step=2, workers=1, counted_from=2)
    assert step == 2
    assert torch.equal(batch.images, make_batch(store, RECIPE, seed=1, step=0).images)


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


def test_processes_share_a_batch_so_that_together_they_show_the_same(store):
    recipe = tiny_recipe(sampling={"batch_size": 5}, augmentation={})
    whole = make_batch(store, recipe, seed=1, step=3)
    for world in (2, 3):
        parts = [make_batch(store, recipe, seed=1, step=3, rank=rank, world=world) for rank in range(world)]
        for rank, part in enumerate(parts):
            assert part.images.equal(whole.images[rank::world])
            assert part.target.equal(whole.target[rank::world])


def test_cases_of_an_epoch_of_iterations_are_drawn_at_random():
    drawn = [any_case(position, 4, seed=2) for position in range(2000)]
    # 500 each, standard deviation 19.
    assert np.bincount(drawn, minlength=4) == pytest.approx([500] * 4, abs=80)
    assert drawn[:8] == [any_case(position, 4, seed=2) for position in range(8)]
    assert drawn[:50] != [any_case(position, 4, seed=3) for position in range(50)]


def test_an_epoch_has_so_many_steps():
    assert tiny_recipe(sampling={"batch_size": 4}).sampling.steps_of_epoch(10) == 3
    iterations = {"kind": "iterations", "iterations": 250}
    assert tiny_recipe(sampling={"epoch": iterations}).sampling.steps_of_epoch(10) == 250


def test_a_batch_size_that_is_still_to_be_found_is_said(store):
    with pytest.raises(ValueError, match="batch_size: auto must be resolved"):
        make_batch(store, tiny_recipe(sampling={"batch_size": "auto"}), seed=0, step=0)
