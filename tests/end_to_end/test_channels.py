"""Cases of two channels through the entry point, with a network that adds its channels."""

import numpy as np
import pytest
import SimpleITK as sitk

import predict
from model.labels import FLARE23
from model.manifest.document import Input
from model.manifest.intensity import DivideIntensity
from tests.end_to_end.calls import told
from tests.inference.bundles import CT, LOWER_HU, abdomen, hu, make_bundle
from tests.inference.images import write_nifti, write_series

SPACING = (1.0, 1.5, 2.5)
TRUTH = abdomen()
STEPS = (hu(TRUTH) - LOWER_HU).astype(np.int16) // 100
"""What the sum of the channels must show, 0 to 4."""
SECOND = STEPS // 2
FIRST = (LOWER_HU + 100 * (STEPS - SECOND)).astype(np.int16)
PET = Input(name="PET", modality="PET", intensity=DivideIntensity(by=5.0))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "two", inputs=(CT, PET)).folder


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "inputs").mkdir()
    return tmp_path


def write(bench, case="case", second=SECOND, **changes):
    write_nifti(bench / "inputs" / f"{case}_0000.nii.gz", FIRST, spacing=SPACING)
    write_nifti(bench / "inputs" / f"{case}_0001.nii.gz", second, **({"spacing": SPACING} | changes))


def call(bench, bundle, *options, source="inputs"):
    paths = ["--input", str(bench / source), "--output", str(bench / "outputs"), "--bundle", str(bundle)]
    return predict.main([*paths, "--device", "cpu", *options])


def results(bench):
    return {
        path.name: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (bench / "outputs").iterdir()
    }


def test_both_channels_make_the_labels(bench, bundle, capsys):
    write(bench)
    assert call(bench, bundle) == 0
    (labels,) = results(bench).values()
    np.testing.assert_array_equal(labels, TRUTH)
    out, err = capsys.readouterr()
    assert out.startswith("case_0000.nii.gz -> case.nii.gz: DOUBTFUL, see the warning; 4 of 4 organs, ")
    assert told(err) == []


def test_the_first_channel_alone_stands_for_the_case(bench, bundle):
    write(bench)
    write(bench, "other")
    assert call(bench, bundle, source="inputs/case_0000.nii.gz") == 0
    assert list(results(bench)) == ["case.nii.gz"]


def test_the_second_channel_matters(bench, bundle):
    """Without it liver and kidneys (1, 2) both show 1, which is liver; aorta and tumor (3, 4) show 2."""
    write(bench, second=0 * SECOND)
    assert call(bench, bundle) == 0
    (labels,) = results(bench).values()
    kidneys = [FLARE23.ids["right kidney"], FLARE23.ids["left kidney"]]
    np.testing.assert_array_equal(labels == FLARE23.ids["liver"], (STEPS == 1) | (STEPS == 2))
    np.testing.assert_array_equal(np.isin(labels, kidneys), STEPS >= 3)


def test_a_channel_that_is_missing_is_one_line_and_harms_no_other_case(bench, bundle, capsys):
    write(bench)
    write(bench, "lone")
    (bench / "inputs" / "lone_0001.nii.gz").unlink()
    assert call(bench, bundle) == 1
    assert list(results(bench)) == ["case.nii.gz"]
    (line,) = told(capsys.readouterr().err)
    path = bench / "inputs" / "lone_0000.nii.gz"
    assert line == f"error: {path}: its case lacks lone_0001; this bundle takes 2 channels"


@pytest.mark.parametrize(
    "changes",
    [
        {"second": SECOND[:-1]},
        {"spacing": (1.0, 1.5, 2.6)},
        {"srow": (-1, 0, 0, 11, 0, -1.5, 0, 20, 0, 0, 2.5, 30)},
    ],
    ids=["size", "spacing", "place"],
)
def test_channels_on_two_grids_are_one_line_and_harm_no_other_case(bench, bundle, capsys, changes):
    write(bench)
    write(bench, "odd", **changes, qform_code=0)
    assert call(bench, bundle) == 1
    assert list(results(bench)) == ["case.nii.gz"]
    (line,) = told(capsys.readouterr().err)
    path = bench / "inputs" / "odd_0001.nii.gz"
    assert line == f"error: {path}: lies on another grid than odd_0000.nii.gz; resample it to that one"


def test_a_damaged_second_channel_is_named(bench, bundle, capsys):
    write(bench)
    path = bench / "inputs" / "case_0001.nii.gz"
    path.write_bytes(path.read_bytes()[:-60])
    assert call(bench, bundle) == 1
    (line,) = told(capsys.readouterr().err)
    assert line.startswith(f"error: {path}: ")
    assert "is truncated" in line


def test_plans_count_both_channels(bench, bundle, capsys):
    write_nifti(bench / "inputs" / "a_0000.nii.gz", np.zeros((64, 128, 128), np.int16), spacing=SPACING)
    write_nifti(bench / "inputs" / "a_0001.nii.gz", np.zeros((64, 128, 128), np.int16), spacing=SPACING)
    assert call(bench, bundle, "--plan") == 0
    assert "image (int16) 4" in capsys.readouterr().out


def test_channels_may_be_dicom_folders(bench, bundle):
    for channel in (0, 1):
        positions = [(0.0, 0.0, 3.0 * k) for k in range(4)]
        write_series(bench / "inputs" / f"case_000{channel}", positions, uid=f"1.2.3.{channel}")
    assert call(bench, bundle) == 0
    assert {name: array.shape for name, array in results(bench).items()} == {"case.nii.gz": (4, 3, 4)}
