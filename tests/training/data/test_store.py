"""Cases on a recipe's grid: oriented, resampled, normalized, relabelled, cached.

Faulty ones are refused with the file's name.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk

from model.schema import dump
from tests.training.tiny import DOCUMENT, NETWORK, recipe_file, tiny_recipe, write_case, write_dataset
from training.__main__ import main
from training.data.folders import labelled_cases
from training.data.store import CaseStore, recipe_table
from training.recipes.loading import recipe_from
from training.training_errors import DataError


def a_case(folder):
    return folder / "imagesTr" / "case0_0000.nii.gz", folder / "labelsTr" / "case0.nii.gz"


def load_first(folder, **fields):
    return CaseStore(labelled_cases(folder), tiny_recipe(**fields), cache_mb=10).load(0)


def row(*values):
    return np.array(values).reshape(1, 1, -1)


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PSR", "ILA"])
def test_every_stored_orientation_gives_the_same_arrays(tmp_path, orientation):
    rng = np.random.default_rng(0)
    hu = rng.integers(-250, 250, (5, 6, 7)).astype(np.int16)
    labels = rng.integers(0, 5, (5, 6, 7)).astype(np.uint8)
    write_case(tmp_path, "case", hu, labels, orientation)
    case = load_first(tmp_path)
    np.testing.assert_allclose(case.image[0], (hu + 250) / 500, atol=1e-3)
    np.testing.assert_array_equal(case.channels, labels)


def test_the_window_is_mapped_to_0_and_1_and_clipped(tmp_path):
    hu = np.array([-1000, -250, 0, 250, 3000], np.int16).reshape(1, 1, 5)
    write_case(tmp_path, "case", hu, np.zeros(hu.shape, np.uint8))
    assert load_first(tmp_path).image.ravel().tolist() == [0, 0, 0.5, 1, 1]


def test_downsampling_averages_whole_blocks(tmp_path):
    hu = np.array([-250, 250, 0, 0], np.int16).reshape(1, 1, 4)
    write_case(tmp_path, "case", hu, np.array([1, 1, 3, 3], np.uint8).reshape(1, 1, 4))
    case = load_first(tmp_path, spacing_zyx_mm=[2, 2, 4])
    assert case.image.ravel().tolist() == [0.5, 0.5]
    assert case.channels.ravel().tolist() == [1, 3]


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize(("of", "classes"), [("channels", 3), ("labels", 4)])
def test_patches_are_centred_in_labels_that_share_a_channel(tmp_path, prepare, of, classes):
    """Background, liver, and right and left kidney, which are one channel."""
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:3], labels[4, :4], labels[4, 4:] = 1, 2, 13
    write_case(tmp_path / "data", "case", labels.astype(np.int16), labels)
    merged = {"label_set": "flare23", "channels": "merged", "network": NETWORK}
    fields = {**merged, "spacing_zyx_mm": [2, 2, 2], "sampling": {"centre": {"kind": "classes", "of": of}}}
    folder = tmp_path / "data"
    if prepare:
        folder = tmp_path / "store"
        recipe = recipe_file(tmp_path, **fields)
        words = ["prepare", str(tmp_path / "data"), "--recipe", recipe, "--output", str(folder)]
        assert main(words) == 0
    case = load_first(folder, **fields)
    assert len(case.points) == classes
    assert len(np.unique(case.channels[:])) == 3
    of_class = [{int(labels[tuple(point)]) for point in points} for points in case.points]
    assert of_class == ([{0}, {1}, {2}, {13}] if of == "labels" else [{0}, {1}, {2, 13}])


def test_merged_and_foreground_tables():
    merged = recipe_table(tiny_recipe(label_set="flare23", channels="merged", network=NETWORK))
    assert merged[[0, 1, 2, 13, 7, 8, 14]].tolist() == [0, 1, 2, 2, 7, 7, 12]
    foreground = recipe_table(tiny_recipe(channels="foreground", network=NETWORK))
    assert foreground[:6].tolist() == [0, 1, 1, 1, 1, 0]


def test_an_id_outside_the_label_set_is_refused(tmp_path):
    write_case(tmp_path, "case", np.zeros((2, 2, 2), np.int16), np.full((2, 2, 2), 9, np.uint8))
    with pytest.raises(
        DataError, match=r"case\.nii\.gz: holds id 9, unknown to label set flare21; correct the labels"
    ):
        load_first(tmp_path)


def test_labels_on_another_grid_are_refused(tmp_path):
    _, path = a_case(write_dataset(tmp_path))
    labels = sitk.ReadImage(str(path))
    labels.SetOrigin((100.0, 0.0, 0.0))
    sitk.WriteImage(labels, str(path))
    with pytest.raises(DataError, match="lies elsewhere than its image"):
        load_first(tmp_path)
    sitk.WriteImage(labels[:-1], str(path))
    with pytest.raises(DataError, match="differs from that of its image"):
        load_first(tmp_path)


def test_an_unreadable_image_is_refused(tmp_path):
    path, _ = a_case(write_dataset(tmp_path))
    path.write_text("not an image")
    with pytest.raises(DataError, match=r"case0_0000\.nii\.gz"):
        load_first(tmp_path)


def test_the_memory_cache_keeps_what_fits(tmp_path):
    files = labelled_cases(write_dataset(tmp_path))
    roomy, tight = (CaseStore(files, tiny_recipe(), cache_mb=mb) for mb in (10, 0))
    assert roomy.load(0) is roomy.load(0)
    assert tight.load(0) is not tight.load(0)


def test_threads_that_want_one_case_at_once_read_it_once(tmp_path, monkeypatch):
    store = CaseStore(labelled_cases(write_dataset(tmp_path)), tiny_recipe(), cache_mb=10)
    start, read, names = threading.Barrier(8), store._read, []

    def noted(files):
        names.append(files.name)
        return read(files)

    monkeypatch.setattr(store, "_read", noted)

    def load(_):
        start.wait()
        return store.load(0)

    with ThreadPoolExecutor(8) as pool:
        cases = list(pool.map(load, range(8)))
    assert names == ["case0"]
    assert all(case is cases[0] for case in cases)


def test_the_disk_cache_is_read_instead_of_the_files_until_these_change(tmp_path):
    files = labelled_cases(write_dataset(tmp_path / "data"))
    cache = tmp_path / "cache"
    first = CaseStore(files, tiny_recipe(), 10, cache).load(0)
    stored = list(cache.iterdir())
    assert len(stored) == 1
    again = CaseStore(files, tiny_recipe(), 10, cache).load(0)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.channels, again.channels)
    assert all(np.array_equal(a, b) for a, b in zip(first.points, again.points, strict=True))
    write_case(tmp_path / "data", "case0", np.full((4, 4, 4), 250, np.int16), np.ones((4, 4, 4), np.uint8))
    assert (CaseStore(files, tiny_recipe(), 10, cache).load(0).image == 1).all()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_damaged_file_of_the_disk_cache_is_made_again(tmp_path, caplog, kept):
    files = labelled_cases(write_dataset(tmp_path / "data"))
    cache = tmp_path / "cache"
    first = CaseStore(files, tiny_recipe(), 10, cache).load(0)
    (stored,) = cache.iterdir()
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(kept * len(whole))])
    (cache / ".leanseg-1-2.tmp").write_text("left by a killed run")
    again = CaseStore(files, tiny_recipe(), 10, cache).load(0)
    np.testing.assert_array_equal(first.image, again.image)
    assert f"{stored}: is damaged; made again" in caplog.text
    assert list(cache.iterdir()) == [stored]
    assert stored.read_bytes() == whole


def test_all_unknown_ids_are_named_even_those_below_the_highest_known_one(tmp_path):
    labels = np.array([0, 2, 5, 7], np.uint8).reshape(1, 1, 4)
    write_case(tmp_path, "case", np.zeros(labels.shape, np.int16), labels)
    own = {"name": "own", "ids": {"a": 2, "b": 9}}
    with pytest.raises(DataError, match="holds ids 5, 7, unknown to label set own"):
        load_first(tmp_path, label_set=own, network=NETWORK)


def test_a_users_own_label_set_gives_merged_plain_and_foreground_channels(tmp_path):
    """Ids 3 and 8 are the two lungs, 20 a cyst."""
    pair = {"merged": "lung", "right": "right lung", "left": "left lung"}
    document = {
        "name": "chest",
        "labels": {"right lung": 3, "left lung": 8, "cyst": 20},
        "pairs": [pair],
        "lesions": ["cyst"],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    labels = row(0, 3, 8, 20).astype(np.uint8)
    write_case(tmp_path, "case", np.zeros(labels.shape, np.int16), labels)
    found = {}
    for channels in ("merged", "plain", "foreground"):
        fields = {**DOCUMENT, "label_set": "data", "channels": channels}
        recipe = recipe_from(fields, data=tmp_path)
        assert recipe.network.out_channels == len(recipe.channel_names)
        case = CaseStore(labelled_cases(tmp_path), recipe, cache_mb=1).load(0)
        found[channels] = (recipe.channel_names[1:], case.channels.ravel().tolist())
    assert found == {
        "merged": (("lung", "cyst"), [0, 1, 1, 2]),
        "plain": (("right lung", "left lung", "cyst"), [0, 1, 2, 3]),
        "foreground": (("foreground",), [0, 1, 1, 1]),
    }


def test_normalizing_before_resampling_clips_before_voxels_are_averaged(tmp_path):
    hu = row(-250, 1000, 0, 0).astype(np.int16)
    write_case(tmp_path, "case", hu, np.zeros(hu.shape, np.uint8))
    after = load_first(tmp_path, spacing_zyx_mm=[2, 2, 4])
    before = load_first(tmp_path, spacing_zyx_mm=[2, 2, 4], normalize="before_resampling")
    # Mean of -250 and 1000 is 375, above the window; of 0 and 1 it is a half.
    assert after.image.ravel().tolist() == [1.0, 0.5]
    assert before.image.ravel().tolist() == [0.5, 0.5]


def test_an_image_can_be_resampled_by_any_kind(tmp_path):
    hu = row(-250, 250, 250, -250).astype(np.int16)
    write_case(tmp_path, "case", hu, np.zeros(hu.shape, np.uint8))
    twice = {"spacing_zyx_mm": [2, 2, 1]}
    linear = load_first(tmp_path, resampling={"kind": "linear"}, **twice).image.ravel()
    np.testing.assert_allclose(linear, [0, 0.25, 0.75, 1, 1, 0.75, 0.25, 0], atol=1e-3)
    separate = {"kind": "separate_axis", "in_plane": "nearest"}
    nearest = load_first(tmp_path, resampling=separate, **twice).image.ravel()
    assert nearest.tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [
        ({"kind": "zscore"}, [-1, 1, -1, 1]),  # mean 100, deviation 100
        ({"kind": "zscore", "over": "nonzero"}, [0, 0, 0, 0]),  # 200 twice: mean 200, deviation 0
        ({"kind": "zero_to_one"}, [0, 1, 0, 1]),
        ({"kind": "divide", "by": 100}, [0, 2, 0, 2]),
        ({"kind": "none"}, [0, 200, 0, 200]),
        ({"kind": "clip_zscore", "lower": 0, "upper": 150, "mean": 50, "std": 50}, [-1, 2, -1, 2]),
    ],
)
def test_every_intensity_can_be_trained_on(tmp_path, intensity, expected):
    hu = row(0, 200, 0, 200).astype(np.int16)
    write_case(tmp_path, "case", hu, np.zeros(hu.shape, np.uint8))
    case = load_first(tmp_path, intensity=intensity)
    assert case.image.dtype == np.float32  # Values without ends are not rounded to half floats.
    np.testing.assert_allclose(case.image.ravel(), expected, atol=1e-6)


def test_zscore_over_filled_voxels_changes_the_holes_too(tmp_path):
    hu = np.zeros((3, 3, 5), np.int16)
    hu[:, :, 1:4] = 100
    hu[1, 1, 2] = 0  # a hole
    write_case(tmp_path, "case", hu, np.zeros(hu.shape, np.uint8))
    intensity = {"kind": "zscore", "over": "nonzero_filled"}
    image = load_first(tmp_path, intensity=intensity, normalize="before_resampling").image
    mean, std = 100 * 26 / 27, 100 * (26 / 27 * 1 / 27) ** 0.5
    assert image[0, 0, 0, 0] == 0
    assert image[0, 1, 1, 2] == pytest.approx(-mean / std, rel=1e-4)


def test_labels_that_are_no_whole_numbers_are_refused(tmp_path):
    _, path = a_case(write_dataset(tmp_path))
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32) * 0.5, str(path))
    with pytest.raises(DataError, match=r"case0\.nii\.gz: holds values that are not whole numbers"):
        load_first(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"intensity": {"kind": "window", "lower": -100, "upper": 250}},
        {"resampling": {"kind": "linear"}},
        {"normalize": "before_resampling"},
        {"spacing_zyx_mm": [2, 2, 4]},
        {"label_set": {"name": "own", **{"ids": {"liver": 1, "spleen": 3}}}},
    ],
)
def test_the_disk_cache_tells_recipes_apart(tmp_path, changes):
    files = labelled_cases(write_dataset(tmp_path / "data", cases=1))
    cache = tmp_path / "cache"
    for fields in ({}, changes):
        CaseStore(files, tiny_recipe(**{"network": NETWORK, **fields}), 0, cache).load(0)
    assert len(list(cache.iterdir())) == 2


def test_the_disk_cache_serves_recipes_that_differ_elsewhere(tmp_path):
    files = labelled_cases(write_dataset(tmp_path / "data", cases=1))
    cache = tmp_path / "cache"
    for fields in ({}, {"name": "other", "patch_zyx": [8, 8, 8], "optimizer": {"kind": "sgd"}}):
        CaseStore(files, tiny_recipe(**fields), 0, cache).load(0)
    assert len(list(cache.iterdir())) == 1


def test_a_label_set_written_out_is_the_one_with_its_name(tmp_path):
    recipe = tiny_recipe()
    assert tiny_recipe(label_set=dump(recipe.labels)).channel_names == recipe.channel_names
