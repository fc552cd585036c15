import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark import scans
from eval.benchmark.scans import AIR_HU, EXAMPLE, example_scan, given_scans, in_square, phantom_scans, stack
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


def test_the_example_is_brought_to_a_ct_s_size_and_stays_where_it_is(tmp_path):
    """279 voxels of 1.6 mm become 512, 75 of 4 mm 120 of 2.5 mm; air beside it makes the slices square."""
    scan = example_scan(tmp_path / "scan")
    fine, coarse = sitk.ReadImage(str(scan.path)), sitk.ReadImage(str(EXAMPLE))
    assert (scan.name, fine.GetSize()) == ("512×512×120", (512, 512, 120))
    assert fine.GetSpacing() == pytest.approx((279 * 1.6 / 512, 279 * 1.6 / 512, 2.5))
    middles = [
        image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
        for image in (fine, coarse)
    ]
    assert middles[0] == pytest.approx(middles[1], abs=1e-3)
    table = sitk.GetArrayViewFromImage(fine)
    assert table[60, 0].max() == AIR_HU
    # The middle of the body, within the lines between the eight voxels around it.
    around = sitk.GetArrayViewFromImage(coarse)[36:39, 93:96, 138:141]
    assert around.min() <= table[60, 256, 256] <= around.max()
    before = scan.path.stat().st_mtime_ns
    assert example_scan(tmp_path / "scan").path.stat().st_mtime_ns == before
