"""Batches that are augmented on the training device: the same for any number of processes, and they train."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.preprocessing.intensity import NOTHING
from model.manifest.intensity import ClipZscoreIntensity, WindowIntensity, ZscoreIntensity
from model.schema import dump, parse
from tests.training.run_logs import learned
from tests.training.tiny import tiny_recipe
from training.augmentation.patches import augment_batch, needed_crop
from training.data.augmenting import augmented
from training.data.batches import case_of, make_batch
from training.data.folders import labelled_cases
from training.data.sampling import GridCase, class_points, draw_centre, draw_crop, draw_patch
from training.data.store import CaseStore
from training.data.stored_arrays import StoredImage
from training.recipes.augmentation_options import Augmentation, Noise, Rotation, usual_augmentation
from training.recipes.loading import load_recipe
from training.recipes.recipe import Recipe
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.loop import train
from training.runs.run import start_run
from training.runs.run_files import LAST
from training.training_errors import RecipeError

CPU = torch.device("cpu")
VARIED = {
    "rotation": {"chance": 0.5, "axial_deg": 15},
    "scaling": {"chance": 0.5, "size": [0.85, 1.15]},
    "elastic": {"chance": 0.3, "displacement_voxels": 2, "every_voxels": 8},
    "flips": {"axes": ["z"]},
    "noise": {"chance": 0.3, "deviation": [0, 0.04]},
    "blur": {"chance": 0.2},
    "brightness": {"chance": 0.3, "shift": 0.05},
    "contrast": {"chance": 0.3},
    "low_resolution": {"chance": 0.2},
    "inverted_gamma": {"chance": 0.1},
    "gamma": {"chance": 0.3},
    "histogram_shift": {"chance": 0.2},
}


def recipe_of(augmentation, **fields):
    return tiny_recipe(augmentation=augmentation, **{"sampling": {"batch_size": 4}, **fields})


@pytest.fixture
def cases(cubes):
    return labelled_cases(cubes)


def test_crops_are_larger_and_patches_are_not(cases):
    recipe = recipe_of(VARIED)
    batch = make_batch(CaseStore(cases, recipe, 10), recipe, seed=0, step=2)
    keys = [(0, number) for number in range(8, 12)]
    sizes = [needed_crop(recipe.augmentation, key, (16, 16, 16)) for key in keys]
    assert batch.images.shape[2:] == tuple(max(along) for along in zip(*sizes, strict=True))
    assert batch.images.shape[3] > 16
    assert batch.unvaried.keys == ((0, 8), (0, 9), (0, 10), (0, 11))
    patches = augmented(batch, recipe, CPU)
    assert (patches.images.shape, patches.images.dtype) == ((4, 1, 16, 16, 16), torch.float32)
    assert (patches.target.shape, patches.target.dtype) == ((4, 16, 16, 16), torch.uint8)
    assert torch.equal(patches.annotated, batch.annotated)
    assert augmented(patches, recipe, CPU) is patches


@pytest.mark.parametrize("turned", [{}, {"rotation": {"chance": 0.0001}}])
def test_a_recipe_that_changes_nothing_gives_plain_patches_to_the_bit(cases, turned):
    recipe = recipe_of(turned)
    store = CaseStore(cases, recipe, 10)
    batch = make_batch(store, recipe, seed=3, step=1)
    found = augmented(batch, recipe, CPU)
    for index in range(4):
        case = store.load(case_of(4 + index, len(cases), seed=3))
        centre = draw_centre(case, (16, 16, 16), np.random.default_rng((3, 2, 1, index)))
        image, channels = draw_crop(case, centre, (16, 16, 16))
        np.testing.assert_array_equal(found.images[index], image)
        np.testing.assert_array_equal(found.target[index], channels)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_any_number_of_processes_sees_the_same_patches(cases, world):
    recipe = recipe_of(VARIED)
    store = CaseStore(cases, recipe, 10)
    whole = augmented(make_batch(store, recipe, 1, 5), recipe, CPU)
    for rank in range(world):
        part = augmented(make_batch(store, recipe, 1, 5, rank=rank, world=world), recipe, CPU)
        assert torch.equal(part.images, whole.images[rank::world])
        assert torch.equal(part.target, whole.target[rank::world])
        assert torch.equal(part.annotated, whole.annotated[rank::world])


def test_a_recipe_without_augmentation_has_that_of_the_demo():
    assert tiny_recipe().augmentation == load_recipe("demo").augmentation
    assert tiny_recipe().augmentation.rotation == Rotation(chance=0.5, axial_deg=15)


def test_it_is_written_alike_before_and_after_it_was_read():
    """So that the checkpoints of a run that was killed are those of one that was not, to the bit."""
    written = json.dumps(dump(usual_augmentation()))
    assert json.dumps(dump(parse(Augmentation, json.loads(written)))) == written


def test_of_a_section_that_is_stated_what_it_leaves_out_is_not_done():
    noisy = {"noise": {"chance": 0.3, "deviation": [0, 0.04]}}
    assert tiny_recipe(augmentation=noisy).augmentation == Augmentation(
        noise=Noise(chance=0.3, deviation=(0, 0.04))
    )
    assert tiny_recipe(augmentation={}).augmentation == Augmentation()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"rotation": {"chance": 2}}, "augmentation.rotation.chance: must be 0 to 1, is 2"),
        ({"scaling": {"size": [2, 1]}}, "augmentation.scaling.size: must be two numbers from 0.2 to 5"),
        ({"flips": {"axes": ["x", "x"]}}, "augmentation.flips.axes: names an axis twice"),
        ({"flips": {}}, "augmentation.flips.axes: missing"),
        ({"shear": {}}, "augmentation.shear: unknown field"),
        ({"slab_chance": 0.3}, "augmentation.slab_chance: unknown field"),
        ({"kind": "patches"}, "augmentation.kind: unknown field"),
        ({"slab": {"thickness_voxels": [16, 8]}}, "augmentation.slab.thickness_voxels: must be two numbers"),
        ({"rotation": {"axial_deg": 270}}, "augmentation.rotation.axial_deg: must be 0 to 180, is 270"),
    ],
)
def test_faults_of_options_are_named(section, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(augmentation=section)


def trained(recipe: Recipe, cases, folder):
    info = RunInfo(recipe=recipe, step=0, seed=1, precision="fp32", cases=tuple(case.name for case in cases))
    folder.mkdir()
    train(start_run(info, CPU, folder), CaseStore(cases, recipe, 10), CaseStore(cases, recipe, 10), workers=1)
    return learned(folder)


def test_a_run_learns_with_it_and_is_the_same_each_time(cases, tmp_path):
    recipe = recipe_of(
        VARIED,
        stopping={"kind": "fixed_steps", "steps": 40},
        optimizer={"kind": "adamw", "learning_rate": 0.02},
        sampling={"batch_size": 2},
        validation={"every_steps": 40, "cases": 1},
    )
    log = trained(recipe, cases, tmp_path / "first")
    losses = [line["loss"] for line in log if "loss" in line]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    short = replace(recipe, stopping=replace(recipe.stopping, steps=4))
    first, second = (trained(short, cases, tmp_path / name) for name in ("short", "again"))
    assert first == second
    tensors, info = load_checkpoint(tmp_path / "short" / LAST)
    assert info.recipe == short
    assert tensors


@pytest.mark.parametrize(
    "intensity",
    [WindowIntensity(lower=-250, upper=250), ClipZscoreIntensity(lower=-200, upper=300, mean=40.5, std=70)],
    ids=lambda intensity: intensity.kind,
)
def test_stored_values_travel_as_int16_and_give_the_patches_of_network_input(intensity):
    hu = np.random.default_rng(0).integers(-400, 400, (1, 12, 20, 20)).astype(np.int16)
    channels = (hu[0] > 0).astype(np.uint8)
    stored = StoredImage(values=hu, intensities=(intensity,), statistics=(NOTHING,), dtype=np.float32)
    kinds = {"raw": stored, "made": stored[:]}
    recipe = recipe_of(VARIED)
    patches = {}
    for name, image in kinds.items():
        case = GridCase(
            name=name,
            image=image,
            channels=channels,
            points=class_points(channels, np.random.default_rng(0)),
        )
        # The image is lower than the patch: there is something beyond it.
        crop, ids = draw_patch(case, recipe, np.random.default_rng(1), crop_zyx=(18, 26, 26))
        assert crop.dtype == {"raw": np.int16, "made": np.float32}[name]
        batch = torch.from_numpy(crop)[None], torch.from_numpy(ids)[None]
        options, size = recipe.augmentation, recipe.patch_zyx
        patches[name] = augment_batch(*batch, [(0, 3)], options, size, (intensity,), CPU)
    torch.testing.assert_close(patches["raw"][0], patches["made"][0], atol=1e-5, rtol=0)
    assert torch.equal(patches["raw"][1], patches["made"][1])


def test_an_intensity_of_the_whole_image_does_not_wait():
    hu = np.zeros((1, 8, 8, 8), np.int16)
    kinds = {"zscore": ZscoreIntensity(), "window": WindowIntensity(lower=-250, upper=250)}
    waits = {
        name: StoredImage(values=hu, intensities=(kind,), statistics=(NOTHING,), dtype=np.float32).can_wait
        for name, kind in kinds.items()
    }
    assert waits == {"zscore": False, "window": True}
