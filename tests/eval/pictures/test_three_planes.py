import json

import numpy as np
import pytest
import SimpleITK as sitk

from eval.__main__ import main
from eval.image_files import read_image
from eval.pictures.planes import Plane, body_region, canonical, cut, most_informative, pixel_mm
from eval.pictures.scene import Scene, views_of
from eval.volumes import grid_difference
from model.labels import FLARE23
from tests.eval.made import real, write

# One voxel at the patient's right, front, head end: in LPS order x and y small, z large.
CORNER = np.zeros((4, 5, 6), np.uint8)
CORNER[3, 0, 0] = 1


def test_planes_lie_as_radiologists_expect():
    assert cut(CORNER, Plane.AXIAL, 3)[0, 0] == 1  # front on top, right on the left
    assert cut(CORNER, Plane.CORONAL, 0)[0, 0] == 1  # head on top, right on the left
    assert cut(CORNER, Plane.SAGITTAL, 0)[0, 0] == 1  # head on top, front on the left
    assert [plane.letters for plane in Plane] == ["RLAP", "RLHF", "APHF"]
    assert [cut(CORNER, plane, 0).shape for plane in Plane] == [(5, 6), (4, 6), (4, 5)]


@pytest.mark.parametrize("stored", ["LPS", "RAS", "PIR", "ASL", "LPI"])
def test_however_it_is_stored_the_picture_is_the_same(stored, tmp_path):
    image = sitk.DICOMOrient(read_image(write(tmp_path / "a.nii.gz", CORNER)), stored)
    sitk.WriteImage(image, str(tmp_path / "b.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(canonical(read_image(tmp_path / "b.nii.gz"))), CORNER)


def test_pixels_have_the_size_of_their_axes():
    assert [pixel_mm(plane, (5.0, 2.0, 1.0)) for plane in Plane] == [(2.0, 1.0), (5.0, 1.0), (5.0, 2.0)]


def test_the_plane_with_most_structures_is_chosen():
    labels = np.zeros((9, 8, 8), np.uint8)
    labels[1:5, :4, :4] = 1  # large
    labels[4:6, 6, 6] = 2  # small, but as important
    assert most_informative(labels, Plane.AXIAL) == 4
    assert most_informative(np.zeros((9, 8, 8), np.uint8), Plane.AXIAL) == 4


def test_air_around_the_body_is_cut_off():
    hu = np.full((40, 50), -1000.0)
    hu[10:30, 15:40] = 40.0
    nothing = np.zeros(hu.shape, bool)
    region = body_region(hu, nothing, margin=2)
    assert (region.rows, region.columns) == (slice(8, 32), slice(13, 42))
    everything = body_region(np.full((4, 5), -1000.0), nothing[:4, :5])
    assert (everything.rows, everything.columns) == (slice(0, 4), slice(0, 5))


@pytest.fixture
def patient(tmp_path):
    """A small body with a liver and an aorta, and a truth that is a little off."""
    hu = np.full((10, 30, 40), -1000, np.int16)
    hu[:, 3:27, 4:36] = 30
    labels = np.zeros(hu.shape, np.uint8)
    labels[2:8, 8:20, 6:18] = 1
    labels[:, 18:22, 20:24] = 5
    return [
        write(tmp_path / f"{name}.nii.gz", a)
        for name, a in (("ct_0000", hu), ("pred", labels), ("truth", np.roll(labels, 1, 2)))
    ]


def picture(ct, labels, *more: str) -> int:
    return main(["picture", "--image", str(ct), "--labels", str(labels), *more])


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_picture_is_drawn(patient, tmp_path, suffix):
    ct, labels, truth = patient
    output = tmp_path / f"view.{suffix}"
    assert picture(ct, labels, "--truth", str(truth), "--output", str(output)) == 0
    assert output.stat().st_size > 10_000
    if suffix == "png":
        drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(output)))
        assert drawn.shape[1] == 2400
    else:
        text = output.read_bytes()
        assert text.startswith(b"%PDF" if suffix == "pdf" else b"<?xml")
    assert picture(ct, labels, "--output", str(output)) == 2
    assert picture(ct, labels, "--output", str(output), "--force") == 0


def test_doubts_of_the_run_stand_in_the_picture(patient, tmp_path, capsys):
    """One line of them is 0.22 inches of 150 pixels."""
    ct, labels, _ = patient
    cases = [{"output": "pred.nii.gz", "warnings": [], "doubts": ["no spleen"]}]
    (tmp_path / "run.json").write_text(json.dumps({"bundle": {"name": "mine"}, "cases": cases}))
    run = ("--run", str(tmp_path / "run.json"))
    plain, doubted = tmp_path / "plain.png", tmp_path / "doubted.png"
    assert picture(ct, labels, "--output", str(plain)) == 0
    assert picture(ct, labels, *run, "--output", str(doubted)) == 0
    tall, taller = (sitk.ReadImage(str(path)).GetHeight() for path in (plain, doubted))
    assert taller - tall == 33
    other = write(tmp_path / "other.nii.gz", np.zeros((10, 30, 40), np.uint8))
    assert picture(ct, other, *run, "--output", str(tmp_path / "other.png")) == 2
    assert "run.json: tells of no other.nii.gz; give the report of the run" in capsys.readouterr().err


def test_a_picture_without_any_label(patient, tmp_path):
    ct, labels, _ = patient
    empty = write(tmp_path / "empty.nii.gz", np.zeros((10, 30, 40), np.uint8))
    assert picture(ct, empty, "--output", str(tmp_path / "a.png")) == 0
    assert picture(ct, empty, "--truth", str(labels), "--output", str(tmp_path / "b.png")) == 0


def test_a_flat_stack_is_drawn_as_axial_slices(patient):
    ct, labels, _ = (sitk.GetArrayFromImage(read_image(path)) for path in patient)
    labels[0] = 0

    def planes(thickness_mm: float) -> list[tuple[Plane, int]]:
        spacing_mm = (thickness_mm, 1.0, 1.0)
        scene = Scene(ct_hu=ct, labels=labels, spacing_zyx_mm=spacing_mm, label_set=FLARE23, title="")
        return [(view.plane, view.index) for view in views_of(scene)]

    # Ten slices of 1 mm are a quarter of the picture's 40 mm; of 0.1 mm, 1 mm in all. Labels lie on slices 1
    # to 9.
    assert [plane for plane, _ in planes(1.0)] == list(Plane)
    assert planes(0.1) == [(Plane.AXIAL, 1), (Plane.AXIAL, 5), (Plane.AXIAL, 9)]


def test_a_dicom_folder_and_labels_stored_in_another_order(patient, tmp_path):
    ct, labels, _ = patient
    image = read_image(ct)
    (tmp_path / "series").mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(image.GetDepth()):
        part = image[:, :, z]
        position = "\\".join(str(mm) for mm in image.TransformIndexToPhysicalPoint((0, 0, z)))
        tags = {
            "0008|0060": "CT",
            "0020|000e": "1.2.3",
            "0020|0013": str(z),
            "0020|0032": position,
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        # Names run the other way than the slices.
        writer.SetFileName(str(tmp_path / "series" / f"{99 - z}.dcm"))
        writer.Execute(part)
    assert grid_difference(read_image(tmp_path / "series"), image) is None
    assert np.array_equal(
        sitk.GetArrayFromImage(read_image(tmp_path / "series")), sitk.GetArrayFromImage(image)
    )
    sitk.WriteImage(sitk.DICOMOrient(read_image(labels), "RAS"), str(tmp_path / "ras.nii.gz"))
    assert picture(tmp_path / "series", tmp_path / "ras.nii.gz", "--output", str(tmp_path / "a.png")) == 0


def test_wrong_input_gives_one_line_and_2(patient, tmp_path, capsys):
    ct, labels, _ = patient
    foreign = write(tmp_path / "foreign.nii.gz", np.full((10, 30, 40), 77, np.uint8))
    smaller = write(tmp_path / "smaller.nii.gz", np.zeros((9, 30, 40), np.uint8))
    text = tmp_path / "text.nii.gz"
    text.write_text("no image")
    for arguments, words in (
        ((tmp_path / "none.nii.gz", labels, "a.png"), "no such file"),
        ((ct, foreign, "a.png"), "label 77"),
        ((ct, smaller, "a.png"), "not on the CT's grid: sizes differ"),
        ((ct, ct, "a.png"), "is this an image"),
        ((ct, labels, "a.bmp"), "unknown kind of picture"),
        ((text, labels, "a.png"), "is no image"),
        ((tmp_path, labels, "a.png"), "holds no DICOM series"),
    ):
        assert picture(*arguments[:2], "--output", str(tmp_path / arguments[2])) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_real_abdomen(tmp_path):
    folder = real("ct_abdomen")
    assert (
        picture(folder / "ct_0000.nii.gz", folder / "labels.nii.gz", "--output", str(tmp_path / "a.png")) == 0
    )
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png")))[..., :3].astype(int)
    # The liver is on the left half of the picture of the axial plane, in its colour or near it.
    reddish = (
        (drawn[..., 0] > 120)
        & (drawn[..., 0] - drawn[..., 2] > 40)
        & (np.abs(drawn[..., 1] - drawn[..., 2]) < 25)
    )
    axial = reddish[:, : drawn.shape[1] // 4]
    assert axial[:, : axial.shape[1] // 2].sum() > 3 * axial[:, axial.shape[1] // 2 :].sum()
