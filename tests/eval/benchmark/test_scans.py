import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark import scans
from eval.benchmark.scans import AIR_HU, given_scans, in_square, phantom_scans, stack
from eval.eval_errors import JudgingError


def column(values):
    return np.array(values, np.int16).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, [3, 4]),
        (5, [1, 2, 3, 4, 5]),
        (7, [1, 2, 3, 4, 5, 5, 4]),
        (12, [1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 1, 2]),
    ],
)
def test_a_scan_is_cut_around_the_organs_or_goes_on_with_its_mirror_image(count, expected):
    organs = column([0, 0, 0, 1, 0]).astype(np.uint8)
    assert stack(column([1, 2, 3, 4, 5]), organs, count).ravel().tolist() == expected


def test_slices_become_squares_with_air_around_the_body():
    square = in_square(np.array([[[1, 2, 3, 4]]], np.int16), 2)
    assert square.tolist() == [[[2, 3], [AIR_HU, AIR_HU]]]


def test_phantoms_are_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(scans, "SIDE", 4)
    drawn = []

    def draw(folder):
        drawn.append(folder)
        return np.ones((3, 2, 2), np.int16), np.ones((3, 2, 2), np.uint8)

    monkeypatch.setattr(scans, "_phantom", draw)
    for _ in range(2):
        found = phantom_scans([2, 5], tmp_path)
    assert [scan.name for scan in found] == ["4×4×2", "4×4×5"]
    assert sitk.ReadImage(str(found[1].path)).GetSize() == (4, 4, 5)
    assert len(drawn) == 1


def test_scans_of_ones_own_need_a_file_each_and_names_apart(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/a.nii.gz").touch()
    assert given_scans([tmp_path / "a.nii.gz"])[0].name == "a"
    with pytest.raises(JudgingError, match="the same name"):
        given_scans([tmp_path / "a.nii.gz", tmp_path / "b/a.nii.gz"])
    with pytest.raises(JudgingError, match="no such file"):
        given_scans([tmp_path / "c.nii.gz"])
