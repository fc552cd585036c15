"""Folders of cases: bodies by their structures, and other parts of the body."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.training.phantom.bodies.blocks import IDS
from training.phantom.bodies.body import Body
from training.phantom.bodies.data_folder import Cohort, load_anatomy, write_dataset, write_image
from training.phantom.bodies.structures import ADDED
from training.training_errors import WriteError


def test_maps_with_their_structures_are_bodies(maps):
    (body,) = load_anatomy(maps)
    assert isinstance(body, Body)
    assert body.name == "blocks"
    assert {name: i for name, i in body.ids.items() if name not in ADDED} == IDS


@pytest.mark.parametrize("text", ["[1]", "{", '{"liver": "x"}'])
def test_a_faulty_list_of_structures_is_named(maps, text):
    (maps / "structures.json").write_text(text)
    with pytest.raises(ValueError, match=r"structures\.json: must be one JSON object"):
        load_anatomy(maps)


@pytest.mark.parametrize("has_list", [True, False])
def test_what_is_no_label_map_is_named(maps, has_list):
    """A CT's values, or an id too many, are no structures of a body."""
    if not has_list:
        (maps / "structures.json").unlink()
    values = np.array([[[0, 1, 320]]], np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(maps / "another.nii.gz"))
    with pytest.raises(ValueError, match=r"another\.nii\.gz: is no label map for here: it holds 320"):
        load_anatomy(maps)


@pytest.mark.parametrize(("share", "present"), [(1.0, False), (0.0, True)])
def test_scans_elsewhere_hold_no_organ_and_bodies_do(maps, tmp_path, share, present):
    coverage = "abdomen" if present else None
    cohort = Cohort(cases=1, seed=1, anatomy_share=1.0, elsewhere_share=share, coverage=coverage)
    write_dataset(tmp_path, cohort, anatomy=maps)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labelsTr/phantom_00000.nii.gz")))
    assert labels.any() == present
    assert np.isin(np.unique(labels), [0, 1, 9, 11]).all()
    document = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert document["lesions"] == ["tumor"]
    (record,) = document["cases"]
    assert (record["anatomy"] == "elsewhere") != present


def test_an_examination_that_bodies_do_not_know_is_refused_before_anything_is_written(maps, tmp_path):
    cohort = Cohort(cases=1, coverage="upper abdomen")
    message = r"have no examination 'upper abdomen'; .* abdomen, abdomen and pelvis, slab$"
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "out", cohort, anatomy=maps)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_is_told_and_no_half_file_stays(tmp_path, monkeypatch):
    """SimpleITK says nothing of it: here it writes the first bytes alone."""
    monkeypatch.setattr(sitk, "WriteImage", lambda image, path, **more: Path(path).write_bytes(b"half"))
    with pytest.raises(WriteError, match=r"case\.nii\.gz: cannot be written \(No space left on device\)"):
        write_image(sitk.Image(2, 2, 2, sitk.sitkInt16), tmp_path / "case.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(WriteError, match="its folder is not there"):
        write_image(sitk.Image(2, 2, 2, sitk.sitkUInt8), tmp_path / "gone/case.nii.gz")
