"""Synthetic cases made while a network trains depend on the seed and the patch, not on who made them."""

import json
import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from tests.training.phantom.bodies.blocks import IDS, SPACING, block_labels
from tests.training.tiny import NETWORK, grid_case, tiny_recipe
from training.data.batches import make_batch
from training.data.folders import labelled_cases
from training.data.fresh_cases import FreshCases, SyntheticCase
from training.data.store import CaseStore
from training.phantom.bodies.any_case import any_case
from training.phantom.bodies.data_folder import load_anatomy
from training.recipes.synthesis_options import Synthesis
from training.training_errors import DataError, TrainingError

FEW = Synthesis(pool=3, patches_per_case=4)


def numbered(number):
    """A case whose voxels say which one it is."""
    return grid_case(np.ones((20, 20, 20), np.uint8), np.full((20, 20, 20), number / 64))


def dying(number):
    os._exit(9)


def endless(number):
    threading.Event().wait()


@pytest.fixture
def maps(tmp_path):
    """A folder with the map of one body."""
    folder = tmp_path / "maps"
    folder.mkdir()
    image = sitk.GetImageFromArray(block_labels())
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(folder / "blocks.nii.gz"))
    (folder / "structures.json").write_text(json.dumps(IDS))
    return folder


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
    recipe = tiny_recipe(sampling={"batch_size": 2}, augmentation={"kind": "batched"})
    store = CaseStore(labelled_cases(cubes), recipe, cache_mb=10)
    synthesis = Synthesis(share=0.5, pool=3, patches_per_case=4)
    with FreshCases(numbered, synthesis, seed=0, processes=1) as one:
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
        pytest.raises(TrainingError, match=r"has died, .* take fewer with --case-makers$"),
    ):
        fresh.case_at(0)


def test_who_waits_for_a_case_is_let_go_and_nobody_waits_for_its_maker():
    with FreshCases(endless, FEW, seed=0, processes=1) as fresh, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fresh.case_at, 0)
        while not waiting.done():
            fresh.let_go()
            wait([waiting], timeout=0.1)
        assert isinstance(waiting.exception(), CancelledError)


def test_a_case_is_the_drawn_one_on_the_recipes_grid(maps):
    recipe = tiny_recipe(
        label_set="flare23", network={**NETWORK}, spacing_zyx_mm=[4, 4, 4], synthesis={"elsewhere_share": 0}
    )
    make = SyntheticCase(recipe=recipe, seed=3, anatomy=maps)
    case, again, other = make(0), make(0), make(1)
    assert np.array_equal(case.image, again.image)
    assert not np.array_equal(case.image.shape, other.image.shape) or (case.image != other.image).any()
    drawn = any_case(
        np.random.default_rng((3, 5, 0)), load_anatomy(maps), anatomy_share=0.9, elsewhere_share=0
    )
    assert case.name == "synthetic_000000"
    size_mm = np.array(drawn.image.shape) * drawn.spacing_xyz_mm[::-1]
    assert np.abs(np.array(case.size_zyx) * 4 - size_mm).max() <= 4
    liver_mm3 = (drawn.labels == 1).sum() * np.prod(drawn.spacing_xyz_mm)
    assert (case.channels == 1).sum() * 64 == pytest.approx(liver_mm3, rel=0.05)
    assert 0 <= case.image.min() < case.image.max() <= 1


def test_a_folder_without_maps_is_named(tmp_path):
    recipe = tiny_recipe(label_set="flare23", synthesis={})
    with pytest.raises(DataError, match=r"no label map .*give label maps with --anatomy"):
        SyntheticCase(recipe=recipe, seed=3, anatomy=tmp_path)(0)
