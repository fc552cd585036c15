"""The phantom generator: reproducible, anatomically plausible, correctly oriented."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from model.labels import FLARE23
from tests.places import real_data
from training.phantom.bodies.data_folder import ALL_ORIENTATIONS, Cohort, load_anatomy, to_sitk, write_dataset
from training.phantom.case import phantom_case
from training.phantom.maps import anatomy_from_labels
from training.phantom.patient import draw_missing

IDS = FLARE23.ids
SMALL = {"coverage": "slab", "spacing_zyx_mm": (8.0, 7.0, 7.0)}
COARSE = (5.0, 4.0, 4.0)
LABEL_MAPS = real_data("label_maps")

# What radiology books and healthy cohorts give, widened to the extremes that a phantom may draw, mL.
PLAUSIBLE_ML = {
    "liver": (850, 2900), "spleen": (60, 560), "right kidney": (55, 330), "left kidney": (55, 330),
    "pancreas": (30, 150),
    "gallbladder": (8, 100), "stomach": (90, 800), "aorta": (40, 220), "inferior vena cava": (30, 170),
    "duodenum": (30, 160),
    "right adrenal gland": (1.5, 13), "left adrenal gland": (1.5, 13), "esophagus": (5, 70),
}  # fmt: skip


def volume_ml(case, name):
    return float((case.labels == IDS[name]).sum() * np.prod(case.spacing_xyz_mm) / 1000)


def test_arrays_have_the_promised_types_and_only_known_labels(cases):
    for case in cases:
        assert case.image.dtype == np.int16
        assert case.labels.dtype == np.uint8
        assert case.image.shape == case.labels.shape
        assert set(np.unique(case.labels)) <= {0, *IDS.values()}
        assert case.image.min() >= -3024
        assert case.image.max() <= 3071


@pytest.mark.parametrize("name", PLAUSIBLE_ML)
def test_organ_volumes_are_those_of_adults(cases, name):
    low, high = PLAUSIBLE_ML[name]
    volumes = [volume_ml(c, name) for c in cases if name not in c.info["missing"]]
    assert volumes, f"{name} is missing from every case; choose another seed"
    assert all(low <= v <= high for v in volumes), volumes


@pytest.mark.parametrize("phase", ["unenhanced", "arterial", "portal"])
def test_phases_order_the_organs_as_contrast_does(phase):
    case = phantom_case(np.random.default_rng([2, 1]), spacing_zyx_mm=COARSE, coverage="abdomen", phase=phase)
    hu = {
        name: float(np.median(case.image[case.labels == IDS[name]]))
        for name in ("liver", "aorta", "spleen", "left kidney")
    }
    assert 10 < hu["liver"] < 150
    if phase == "unenhanced":
        assert abs(hu["aorta"] - hu["liver"]) < 60
        assert hu["left kidney"] < 75
    else:
        assert hu["aorta"] > hu["liver"] + 10
        assert hu["left kidney"] > hu["liver"]
    if phase == "arterial":
        assert hu["aorta"] > 150


def test_fat_lies_under_the_skin_and_air_around_the_body(cases):
    for case in cases:
        fat = (case.image > -140) & (case.image < -70)
        air = case.image < -900
        assert 0.05 < fat.mean() < 0.7
        assert air[:, :2].mean() > 0.8


def test_a_missing_organ_is_recorded_and_has_no_voxel(monkeypatch):
    monkeypatch.setattr("training.phantom.case.draw_missing", lambda rng: ["gallbladder", "left kidney"])
    case = phantom_case(np.random.default_rng(7), spacing_zyx_mm=(8.0, 7.0, 7.0), coverage="abdomen")
    assert case.info["missing"] == ["gallbladder", "left kidney"]
    absent = [i for i in range(1, 14) if not (case.labels == i).any()]
    assert case.info["absent_ids"] == absent
    assert {IDS["gallbladder"], IDS["left kidney"]} <= set(absent)


def test_nobody_loses_both_kidneys_and_some_lose_something():
    drawn = [draw_missing(np.random.default_rng(i)) for i in range(3000)]
    assert not any({"left kidney", "right kidney"} <= set(missing) for missing in drawn)
    assert 0.1 < np.mean([bool(missing) for missing in drawn]) < 0.35
    assert {name for missing in drawn for name in missing} == {
        "left kidney",
        "right kidney",
        "gallbladder",
        "spleen",
    }


def test_shape_and_spacing_can_be_pinned():
    case = phantom_case(np.random.default_rng(3), shape=(12, 60, 70), spacing_zyx_mm=(5.0, 6.0, 6.0))
    assert case.image.shape == (12, 60, 70)
    assert case.spacing_xyz_mm == (6.0, 6.0, 5.0)


def test_unknown_coverage_is_refused():
    with pytest.raises(ValueError, match="unknown coverage"):
        phantom_case(np.random.default_rng(0), coverage="toe")


def test_all_48_orientations_exist_once():
    assert len(ALL_ORIENTATIONS) == len(set(ALL_ORIENTATIONS)) == 48


def test_liver_is_on_the_patients_right_of_the_spleen_in_every_orientation(cases):
    case = next(c for c in cases if not c.info["missing"])
    for code in ALL_ORIENTATIONS:
        stored = to_sitk(case, case.labels, code)
        assert sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(stored.GetDirection()) == code
        array = sitk.GetArrayViewFromImage(stored)
        centres = {}
        for name in ("liver", "spleen", "aorta", "stomach"):
            z, y, x = (float(v.mean()) for v in np.nonzero(array == IDS[name]))
            centres[name] = stored.TransformContinuousIndexToPhysicalPoint((x, y, z))
        # In LPS the first coordinate grows to the patient's left, the second to the back.
        assert centres["liver"][0] < centres["aorta"][0] - 20
        assert centres["spleen"][0] > centres["aorta"][0] + 40
        assert centres["stomach"][1] < centres["aorta"][1]


def test_same_seed_same_bytes_and_a_case_does_not_depend_on_its_neighbours(tmp_path):
    write_dataset(tmp_path / "a", Cohort(cases=3, seed=4, **SMALL))
    write_dataset(tmp_path / "b", Cohort(cases=1, seed=4, first_index=2, **SMALL))
    write_dataset(tmp_path / "c", Cohort(cases=1, seed=5, first_index=2, **SMALL))
    files = [
        folder / "imagesTr" / "phantom_00002_0000.nii.gz"
        for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() != files[2].read_bytes()
    labels = [tmp_path / d / "labelsTr" / "phantom_00002.nii.gz" for d in "ab"]
    assert labels[0].read_bytes() == labels[1].read_bytes()
    content = json.loads((tmp_path / "a" / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, **IDS}
    assert content["numTraining"] == 3
    assert [c["name"] for c in content["cases"]] == ["phantom_00000", "phantom_00001", "phantom_00002"]
    assert not list((tmp_path / "a").rglob(".partial*"))
    image, truth = (sitk.ReadImage(str(p)) for p in (files[0], labels[0]))
    assert image.GetDirection() == truth.GetDirection()
    assert image.GetOrigin() == truth.GetOrigin()
    assert image.GetPixelID() == sitk.sitkInt16
    assert truth.GetPixelID() == sitk.sitkUInt8


def test_extending_a_folder_keeps_the_earlier_cases_listed(tmp_path, monkeypatch):
    def quick(rng, **_):
        return phantom_case(rng, shape=(6, 20, 20), spacing_zyx_mm=(8.0, 16.0, 16.0))

    monkeypatch.setattr("training.phantom.bodies.drawn_case.phantom_case", quick)
    write_dataset(tmp_path, Cohort(cases=1, seed=4))
    write_dataset(tmp_path, Cohort(cases=1, seed=4, first_index=1))
    content = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert [c["name"] for c in content["cases"]] == ["phantom_00000", "phantom_00001"]


@pytest.mark.parametrize(
    "bad",
    [
        {"cases": 0},
        {"first_index": -1},
        {"seed": -1},
        {"anatomy_share": 1.5},
        {"spacing_zyx_mm": (0.0, 1.0, 1.0)},
    ],
)
def test_impossible_requests_are_refused(bad):
    with pytest.raises(ValueError, match="at least"):
        Cohort(**{"cases": 1, **bad})


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1"):
        write_dataset(tmp_path, Cohort(cases=1), workers=0)


def test_an_empty_anatomy_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no label map"):
        load_anatomy(tmp_path)


def test_a_map_without_aorta_cannot_be_oriented():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:10, 5:10, 5:10] = IDS["liver"]
    with pytest.raises(ValueError, match="aorta"):
        anatomy_from_labels("odd", labels, (3.0, 3.0, 3.0))


def test_label_maps_keep_their_organs_sizes():
    body = next(b for b in load_anatomy(LABEL_MAPS) if "s0328" in b.name)
    image = sitk.ReadImage(str(LABEL_MAPS / f"{body.name}.nii.gz"))
    source = sitk.GetArrayViewFromImage(image)
    case = phantom_case(
        np.random.default_rng([1, 4]), spacing_zyx_mm=(4.0, 4.0, 4.0), coverage="abdomen", anatomy=body
    )
    assert case.info["anatomy"] == body.name
    for name in ("liver", "right kidney", "left kidney", "stomach", "pancreas"):
        if name not in case.info["missing"] and not case.info["tumors"]:
            expected = (source == IDS[name]).sum() * np.prod(image.GetSpacing()) / 1000
            assert 0.55 < volume_ml(case, name) / expected < 1.6, name
