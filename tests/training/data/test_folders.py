"""Data-set folders: found, split, oriented, resampled, relabelled, cached.

Faulty ones are refused with the file's name.
"""

import numpy as np
import pytest
import SimpleITK as sitk

from tests.training.tiny import tiny_recipe, write_case, write_dataset
from training.data.folders import CaseStore, labelled_cases, recipe_table, split_cases
from training.training_errors import DataError


def a_case(folder):
    return folder / "imagesTr" / "case0_0000.nii.gz", folder / "labelsTr" / "case0.nii.gz"


def load_first(folder, **fields):
    return CaseStore(labelled_cases(folder), tiny_recipe(**fields), cache_mb=10).load(0)


def test_cases_are_found_in_the_order_of_their_names(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=3))
    assert [case.name for case in cases] == ["case0", "case1", "case2"]


def test_folders_that_are_no_data_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="imagesTr is missing"):
        labelled_cases(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(DataError, match="holds no"):
        labelled_cases(tmp_path)


def test_an_image_without_labels_is_refused(tmp_path):
    _, labels = a_case(write_dataset(tmp_path))
    labels.unlink()
    with pytest.raises(DataError, match=r"case0\.nii\.gz: missing"):
        labelled_cases(tmp_path)


def test_a_split_is_disjoint_complete_and_the_same_each_time(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=5, side=18))
    train, held_out = split_cases(cases, 0.4, seed=1)
    assert len(held_out) == 2
    assert sorted(case.name for case in (*train, *held_out)) == [case.name for case in cases]
    assert split_cases(cases, 0.4, seed=1) == (train, held_out)
    assert split_cases(cases, 0, seed=1) == (cases, ())
    with pytest.raises(DataError, match="too few"):
        split_cases(cases[:1], 0.5, seed=1)


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PSR", "ILA"])
def test_every_stored_orientation_gives_the_same_arrays(tmp_path, orientation):
    rng = np.random.default_rng(0)
    hu = rng.integers(-250, 250, (5, 6, 7)).astype(np.int16)
    labels = rng.integers(0, 5, (5, 6, 7)).astype(np.uint8)
    write_case(tmp_path, "case", hu, labels, orientation)
    case = load_first(tmp_path)
    np.testing.assert_allclose(case.image, (hu + 250) / 500, atol=1e-3)
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


def test_merged_and_foreground_tables():
    merged = recipe_table(
        tiny_recipe(
            label_set="flare23", channels="merged", network={"family": "segresnet", "out_channels": 13}
        )
    )
    assert merged[[0, 1, 2, 13, 7, 8, 14]].tolist() == [0, 1, 2, 2, 7, 7, 12]
    foreground = recipe_table(
        tiny_recipe(channels="foreground", network={"family": "segresnet", "out_channels": 2})
    )
    assert foreground[:6].tolist() == [0, 1, 1, 1, 1, 0]


def test_an_id_outside_the_label_set_is_refused(tmp_path):
    write_case(tmp_path, "case", np.zeros((2, 2, 2), np.int16), np.full((2, 2, 2), 9, np.uint8))
    with pytest.raises(DataError, match="holds id 9, label set flare21 ends at 4"):
        load_first(tmp_path)


def test_labels_on_another_grid_are_refused(tmp_path):
    _, path = a_case(write_dataset(tmp_path))
    labels = sitk.ReadImage(str(path))
    labels.SetOrigin((100.0, 0.0, 0.0))
    sitk.WriteImage(labels, str(path))
    with pytest.raises(DataError, match="lies elsewhere than its image"):
        load_first(tmp_path)
    sitk.WriteImage(labels[:-1], str(path))
    with pytest.raises(DataError, match="differs from its image's"):
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
