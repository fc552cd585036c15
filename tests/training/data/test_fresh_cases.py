"""Synthetic cases made while a network trains depend on the seed and the patch, not on who made them."""

import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from tests.training.tiny import NETWORK, grid_case, tiny_recipe
from training.data.batches import batches, make_batch
from training.data.folders import labelled_cases
from training.data.fresh_cases import FreshCases, SyntheticCase
from training.data.preparing import prepare
from training.data.store import CaseStore
from training.phantom.bodies.data_folder import load_anatomy
from training.phantom.bodies.drawn_case import draw_case
from training.recipes.synthesis_options import Synthesis
from training.training_errors import DataError, TrainingError

FEW = Synthesis(pool=3, patches_per_case=4)


def numbered(number):
    """A case whose voxels say which one it is."""
    return grid_case(np.ones((20, 20, 20), np.uint8), np.full((20, 20, 20), number / 64))


def dying(number):
    os._exit(9)


def late(number):
    raise TimeoutError("the share does not answer")


def numbered_below_3(number):
    """Cases of the first window alone; the others are never made."""
    return numbered(number) if number < 3 else threading.Event().wait()


def endless(number):
    threading.Event().wait()


def test_patches_come_from_a_few_cases_of_which_the_oldest_is_replaced():
    fresh = FreshCases(numbered, FEW, seed=1, processes=1)
    offsets = {position: fresh.number_at(position) - position // 4 for position in range(100)}
    assert set(offsets.values()) == {0, 1, 2}
    assert [fresh.number_at(position) for position in range(100)] == [
        FreshCases(numbered, FEW, seed=1, processes=2).number_at(position) for position in range(100)
    ]
    others = FreshCases(numbered, FEW, seed=2, processes=1)
    assert any(others.number_at(position) != fresh.number_at(position) for position in range(100))


def test_the_share_of_patches_is_the_stated_one():
    fresh = FreshCases(numbered, Synthesis(share=0.25), seed=1, processes=1)
    fresh_ones = sum(fresh.number_at(position) is not None for position in range(2000))
    assert 450 < fresh_ones < 550


def test_a_patch_is_cut_from_its_case_whoever_made_it_and_when(cubes):
    recipe = tiny_recipe(sampling={"batch_size": 2}, augmentation={})
    store = CaseStore(labelled_cases(cubes), recipe, cache_mb=10)
    synthesis = Synthesis(share=0.5, pool=3, patches_per_case=4)
    with FreshCases(numbered, synthesis, seed=0, processes=1) as one:
        one.take_up(0)
        forward = [make_batch(store, recipe, 0, step, fresh=one) for step in range(12)]
    with FreshCases(numbered, synthesis, seed=0, processes=2) as two:
        backward = [make_batch(store, recipe, 0, step, fresh=two) for step in reversed(range(12))][::-1]
    for first, second in zip(forward, backward, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.target, second.target)
    numbers = [one.number_at(position) for position in range(24)]
    assert None in numbers
    for position, number in enumerate(numbers):
        image = forward[position // 2].images[position % 2]
        if number is not None:
            assert torch.all(image == number / 64)
        else:
            assert len(image.unique()) > 1


def test_a_process_that_dies_ends_the_run_in_one_line():
    with (
        FreshCases(dying, FEW, seed=0, processes=1) as fresh,
        pytest.raises(TrainingError, match=r"has died; if memory ran out, take fewer with --case-makers$"),
    ):
        fresh.case_at(0)


def test_who_waits_for_a_case_is_let_go_and_waits_for_none_afterwards():
    with FreshCases(endless, FEW, seed=0, processes=1) as fresh, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fresh.case_at, 0)
        while not waiting.running():
            pass
        fresh.let_go()
        assert isinstance(waiting.exception(timeout=60), CancelledError)
        with pytest.raises(CancelledError):
            fresh.case_at(8)


def test_who_is_behind_gets_his_case_though_others_are_far_ahead():
    gate = FreshCases(numbered, Synthesis(pool=3, patches_per_case=1), seed=0, processes=1)
    with gate as fresh, ThreadPoolExecutor(2) as pool:
        positions = [0, 90, 1, 80, 2, 70]
        found = list(pool.map(fresh.case_at, positions))
    wanted = [fresh.number_at(position) / 64 for position in positions]
    assert [float(case.image[0, 0, 0, 0]) for case in found] == wanted


def test_an_error_in_making_is_that_of_whoever_wants_the_case():
    with FreshCases(late, FEW, seed=0, processes=1) as fresh, pytest.raises(TimeoutError, match="the share"):
        fresh.case_at(0)


def test_closing_batches_waits_for_no_case(cubes):
    recipe = tiny_recipe(sampling={"batch_size": 4}, stopping={"kind": "fixed_steps", "steps": 50})
    store = CaseStore(labelled_cases(cubes), recipe, cache_mb=10)
    with FreshCases(numbered_below_3, FEW, seed=0, processes=1) as fresh:
        source = batches(store, recipe, 0, 0, 2, partial(make_batch, fresh=fresh), fresh)
        assert next(source)[0] == 0
        source.close()


def test_prepared_and_fresh_crops_are_normalized_alike(cubes, tmp_path):
    recipe = tiny_recipe(sampling={"batch_size": 2}, augmentation={})
    prepare(tmp_path / "store", labelled_cases(cubes), recipe, "cubes")
    store = CaseStore(labelled_cases(tmp_path / "store"), recipe, cache_mb=10)
    raw = CaseStore(labelled_cases(cubes), recipe, cache_mb=10)
    with FreshCases(numbered, Synthesis(share=0.5, pool=3), seed=0, processes=1) as fresh:
        mixed = [{fresh.number_at(2 * step + index) is None for index in (0, 1)} for step in range(8)]
        step = mixed.index({True, False})
        prepared, expected = (make_batch(one, recipe, 0, step, fresh=fresh).images for one in (store, raw))
    assert prepared.min() >= 0
    assert prepared.max() <= 1
    torch.testing.assert_close(prepared, expected.float(), atol=2e-3, rtol=0)


def test_a_case_is_the_drawn_one_on_the_recipes_grid(maps):
    recipe = tiny_recipe(
        label_set="flare23", network={**NETWORK}, spacing_zyx_mm=[4, 4, 4], synthesis={"elsewhere_share": 0}
    )
    make = SyntheticCase(recipe=recipe, synthesis=recipe.synthesis, seed=3, anatomy=maps)
    case, again, other = make(0), make(0), make(1)
    assert np.array_equal(case.image, again.image)
    assert not np.array_equal(case.image.shape, other.image.shape) or (case.image != other.image).any()
    drawn = draw_case(
        np.random.default_rng((3, 5, 0, 1)), load_anatomy(maps), anatomy_share=0.9, elsewhere_share=0
    )
    assert case.name == "synthetic_000000"
    size_mm = np.array(drawn.image.shape) * drawn.spacing_xyz_mm[::-1]
    assert np.abs(np.array(case.size_zyx) * 4 - size_mm).max() <= 4
    assert case.image[0][case.channels == 1].mean() == pytest.approx(
        np.clip(drawn.image[drawn.labels == 1] / 500 + 0.5, 0, 1).mean(), abs=0.03
    )
    liver_mm3 = (drawn.labels == 1).sum() * np.prod(drawn.spacing_xyz_mm)
    assert (case.channels == 1).sum() * 64 == pytest.approx(liver_mm3, rel=0.05)
    assert 0 <= case.image.min() < case.image.max() <= 1


def test_a_folder_without_maps_is_named(tmp_path):
    recipe = tiny_recipe(label_set="flare23", synthesis={})
    with pytest.raises(DataError, match=r"holds no label map .*give a folder of label maps with --anatomy"):
        SyntheticCase(recipe=recipe, synthesis=recipe.synthesis, seed=3, anatomy=tmp_path)(0)
