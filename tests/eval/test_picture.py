import numpy as np
import pytest
import SimpleITK as sitk

from eval.__main__ import main
from eval.slices import Plane, body_region, canonical, cut, most_informative, pixel_mm
from eval.volumes import read_image
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
    return [write(tmp_path / f"{name}.nii.gz", a) for name, a in (("ct_0000", hu), ("pred", labels), ("truth", np.roll(labels, 1, 2)))]


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


def test_a_picture_without_any_label(patient, tmp_path):
    ct, labels, _ = patient
    empty = write(tmp_path / "empty.nii.gz", np.zeros((10, 30, 40), np.uint8))
    assert picture(ct, empty, "--output", str(tmp_path / "a.png")) == 0
    assert picture(ct, empty, "--truth", str(labels), "--output", str(tmp_path / "b.png")) == 0


def test_wrong_input_gives_one_line_and_2(patient, tmp_path, capsys):
    ct, labels, _ = patient
    foreign = write(tmp_path / "foreign.nii.gz", np.full((10, 30, 40), 77, np.uint8))
    smaller = write(tmp_path / "smaller.nii.gz", np.zeros((9, 30, 40), np.uint8))
    for arguments, words in (
        ((tmp_path / "none.nii.gz", labels, "a.png"), "no such file"),
        ((ct, foreign, "a.png"), "label 77"),
        ((ct, smaller, "a.png"), "not on the CT's grid: sizes differ"),
        ((ct, ct, "a.png"), "is this an image"),
        ((ct, labels, "a.bmp"), "unknown kind of picture"),
    ):
        assert picture(*arguments[:2], "--output", str(tmp_path / arguments[2])) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_real_abdomen(tmp_path):
    folder = real("ct_abdomen")
    assert picture(folder / "ct_0000.nii.gz", folder / "labels.nii.gz", "--output", str(tmp_path / "a.png")) == 0
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png")))[..., :3].astype(int)
    # The liver is on the left half of the picture of the axial plane, in its colour or near it.
    reddish = (drawn[..., 0] > 120) & (drawn[..., 0] - drawn[..., 2] > 40) & (np.abs(drawn[..., 1] - drawn[..., 2]) < 25)
    axial = reddish[:, : drawn.shape[1] // 4]
    assert axial[:, : axial.shape[1] // 2].sum() > 3 * axial[:, axial.shape[1] // 2 :].sum()
