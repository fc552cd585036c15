"""A datalist may name folders with DICOM series: they are checked, prepared, trained on and known again."""

import json
import shutil

import numpy as np
import pytest

from inference.cohort.cases import find_cases
from inference.imaging.reading import open_image
from inference.imaging.writing import write_labels
from tests.inference.dicom_files import dicom
from tests.training.data.test_prepared import made_anew
from tests.training.tiny import recipe_file, tiny_recipe
from training.__main__ import main
from training.data.data_hash import data_hash
from training.data.file_lists import files_of
from training.data.folders import labelled_cases
from training.data.image_links import link_images
from training.data.prepared import image_sha256, stamp_of
from training.data.store import CaseStore
from training.training_errors import DataError

GRID = {"spacing_zyx_mm": [2, 0.8, 0.7]}
"""That of the slices, so that nothing is resampled."""
SIDE = 16


def write_slice(folder, number, liver_hu=100):
    """A slice with a liver in its left half in fat of -100 HU; files hold HU + 1024."""
    folder.mkdir(parents=True, exist_ok=True)
    hu = np.full((SIDE, SIDE), -100, np.int16)
    hu[:, : SIDE // 2] = liver_hu
    path = folder / f"{number:02d}.dcm"
    path.write_bytes(dicom(hu + np.int16(1024), z=2.0 * number))
    return path


@pytest.fixture
def data(tmp_path):
    """Two cases of 16 slices of 16×16."""
    folder = tmp_path / "data"
    labels = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    labels[:, :, : SIDE // 2] = 1
    entries = []
    for name in ("a", "b"):
        for number in range(SIDE):
            write_slice(folder / "ct" / name, number, liver_hu=100 if name == "a" else 80)
        (folder / "truth").mkdir(exist_ok=True)
        write_labels(folder / f"truth/{name}.nii.gz", labels, open_image(folder / "ct" / name).geometry)
        entries.append({"image": f"ct/{name}", "label": f"truth/{name}.nii.gz"})
    (folder / "dataset.json").write_text(json.dumps({"name": "series", "training": entries}))
    return folder


def train(folder, data, run, *more):
    words = ["train", recipe_file(folder, **GRID), "--data", str(data), "--output", str(run), "--steps", "1"]
    return main([*words, "--device", "cpu", "--precision", "fp32", "--validation", "0.5", *more])


def prepare(folder, data, store):
    return main(["prepare", str(data), "--recipe", recipe_file(folder, **GRID), "--output", str(store)])


def test_they_are_checked_trained_on_and_resumed(data, tmp_path, capsys):
    assert main(["check", str(data), "--label-set", "flare21"]) == 0
    assert train(tmp_path, data, tmp_path / "run") == 0
    assert train(tmp_path, data, tmp_path / "run", "--resume") == 0
    (trained,) = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))["cases"]
    write_slice(data / "ct" / trained, 3, liver_hu=90)
    assert train(tmp_path, data, tmp_path / "run", "--resume") == 1
    assert "was written with another data set" in capsys.readouterr().err


def test_a_store_is_prepared_of_them_and_trained_on(data, tmp_path):
    assert prepare(tmp_path, data, tmp_path / "store") == 0
    recipe = tiny_recipe(**GRID)
    fresh, stored = (
        CaseStore(labelled_cases(folder), recipe, cache_mb=10).load(0)
        for folder in (data, tmp_path / "store")
    )
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=5e-3)
    np.testing.assert_array_equal(stored.channels[:], fresh.channels)
    assert train(tmp_path, tmp_path / "store", tmp_path / "run") == 0


def test_a_slice_that_changed_is_noticed_by_a_store(data, tmp_path, monkeypatch, capsys):
    store = tmp_path / "store"
    assert prepare(tmp_path, data, store) == 0
    names = made_anew(monkeypatch)
    (data / "ct/a/03.dcm").touch()  # The same content.
    assert prepare(tmp_path, data, store) == 0
    assert names == []
    write_slice(data / "ct/a", 3, liver_hu=90)
    assert train(tmp_path, store, tmp_path / "run") == 1
    assert f"{data / 'ct/a'}: has changed since" in capsys.readouterr().err
    assert prepare(tmp_path, data, store) == 0
    assert names == ["a"]


def test_a_slice_that_changed_is_noticed_by_a_folder_of_resampled_cases(data, tmp_path):
    def liver():
        case = CaseStore(labelled_cases(data), tiny_recipe(**GRID), 10, tmp_path / "cache").load(0)
        return float(case.image[0, 3, 0, 0])

    before = liver()
    assert liver() == before
    write_slice(data / "ct/a", 3, liver_hu=90)
    assert liver() < before


def test_the_hash_of_the_data_is_that_of_all_slices(data, tmp_path):
    before = data_hash(labelled_cases(data))
    assert data_hash(labelled_cases(shutil.copytree(data, tmp_path / "copy"))) == before
    write_slice(data / "ct/b", 15, liver_hu=90)
    assert data_hash(labelled_cases(data)) != before


def test_the_engine_labels_them_under_the_names_of_their_cases(data, tmp_path):
    """As cross-validation hands it held-out cases."""
    for case in labelled_cases(data):
        link_images(case.name, case.images, tmp_path / "linked")
    names = [case.output_name for case in find_cases(tmp_path / "linked")]
    assert names == ["a.nii.gz", "b.nii.gz"]


def test_a_folder_is_stamped_with_the_sums_over_its_files(tmp_path):
    (tmp_path / "series").mkdir()
    for name, content in (("1", b"one"), ("2", b"two!")):
        (tmp_path / "series" / name).write_bytes(content)
    times = [(tmp_path / "series" / name).stat().st_mtime_ns for name in "12"]
    assert stamp_of(tmp_path / "series") == (7, sum(times))
    before = image_sha256(tmp_path / "series")
    (tmp_path / "series/2").write_bytes(b"tow!")
    assert image_sha256(tmp_path / "series") != before


def test_an_empty_folder_is_no_image(tmp_path):
    with pytest.raises(DataError, match="holds no file; give an image file, or a folder with a DICOM series"):
        files_of(tmp_path)
