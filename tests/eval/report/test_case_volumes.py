"""What a report embeds of a case: voxels after cropping and thinning, read back from its script."""

import hashlib

import numpy as np
import pytest
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.report import case_script, viewer
from eval.report.case_script import CaseFiles, Slices, read_case
from eval.report.page import atomic_folder
from eval.report.viewer import viewer_script
from eval.volumes import read_labels
from model.labels import FLARE23
from tests.eval.command_line import files_in
from tests.eval.made import write, write_claim
from tests.eval.report.reports import case_in, data_in, report, voxels, write_scores

CUBE = (1.0, 1.0, 1.0)
SHAPE = (40, 24, 30)
BODY = (slice(None), slice(4, 20), slice(5, 25))
LIVER = (slice(15, 25), slice(8, 14), slice(10, 18))


def ct(inside: float = 40.0) -> np.ndarray:
    """A body of one density in air."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[BODY] = inside
    return hu


def labels(box=LIVER, label: int = 1) -> np.ndarray:
    made = np.zeros(SHAPE, np.uint8)
    made[box] = label
    return made


def embedded(folder, *more, image=None, pred=None, truth=None, spacing=CUBE, detail: float = 1.0) -> dict:
    """The script of a report's only case."""
    folder.mkdir(exist_ok=True)
    write_scores(folder / "scores.csv", {"a.nii.gz": {}})
    words = []
    for option, name, volume in (
        ("--images", "a_0000.nii.gz", image),
        ("--pred", "a.nii.gz", pred),
        ("--truth", "a.nii.gz", truth),
    ):
        if volume is not None:
            write(folder / option / name, volume, spacing)
            words += [option, folder / option]
    assert report(folder, *words, "--detail-mm", detail, *more) == 0
    (case,) = data_in(folder)["cases"]
    assert case["volume"] == "0001"
    return case_in(folder, "0001")


@pytest.mark.parametrize(
    ("hu", "grey"), [(-1000, 0), (-160, 0), (-60, 64), (40, 128), (140, 191), (240, 255), (1200, 255)]
)
def test_densities_are_greys_of_the_soft_tissue_window(tmp_path, hu, grey):
    case = embedded(tmp_path, image=ct(hu), pred=labels())
    shown = voxels(case, "ct")
    assert shown[voxels(case, "prediction") == 1].tolist() == pytest.approx([grey] * 480, abs=1)


def test_body_and_labels_are_kept_with_a_margin_and_the_rest_is_not(tmp_path):
    case = embedded(tmp_path, image=ct(), pred=labels())
    # 12 mm above and below the liver's slices 15 to 24; the body's rows 4 to 19 and columns 5 to 24, and 4
    # pixels around them.
    assert case["size"] == [20 + 8, 16 + 8, 10 + 24]
    assert case["spacing_mm"] == [1.0, 1.0, 1.0]
    assert np.count_nonzero(voxels(case, "prediction") == 1) == 10 * 6 * 8
    assert case["truth"] is None


def test_a_label_outside_the_body_is_kept_too(tmp_path):
    case = embedded(tmp_path, image=ct(), pred=labels((slice(0, 2), slice(0, 2), slice(28, 30))))
    assert np.count_nonzero(voxels(case, "prediction")) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("detail", "spacing", "factors"),
    [
        (1.0, (1.0, 1.0, 1.0), (1, 1, 1)),
        (2.0, (1.0, 1.0, 1.0), (2, 2, 2)),
        (2.0, (3.0, 0.7, 0.7), (1, 2, 2)),
        (2.0, (0.5, 1.0, 2.5), (4, 2, 1)),
        (0.5, (1.0, 1.0, 1.0), (1, 1, 1)),
    ],
)
def test_voxels_are_averaged_up_to_about_the_detail_asked_for(
    tmp_path, monkeypatch, detail, spacing, factors
):
    monkeypatch.setattr(case_script, "LEAST_SLICES", 1)
    # Labels everywhere, so that nothing is cut off.
    case = embedded(tmp_path, image=ct(), pred=np.ones(SHAPE, np.uint8), spacing=spacing, detail=detail)
    assert case["size"][::-1] == [-(-size // factor) for size, factor in zip(SHAPE, factors, strict=True)]
    expected = [round(mm * factor, 4) for mm, factor in zip(spacing, factors, strict=True)]
    assert case["spacing_mm"][::-1] == pytest.approx(expected, abs=1e-4)
    assert (voxels(case, "prediction") == 1).all()


@pytest.mark.parametrize(("least", "step", "left"), [(32, 1, 40), (20, 2, 20), (10, 2, 20)])
def test_few_slices_are_not_averaged(tmp_path, monkeypatch, least, step, left):
    """Of 40 slices of 1 mm, where voxels are averaged to 2 mm."""
    monkeypatch.setattr(case_script, "LEAST_SLICES", least)
    case = embedded(tmp_path, image=ct(), pred=np.ones(SHAPE, np.uint8), detail=2.0)
    assert case["size"] == [15, 12, left]
    assert case["slices"][2] == {"first": 0, "shown": 40, "step": step, "of": 40}


def test_slices_keep_the_numbers_that_they_have_in_the_scan(tmp_path):
    """As in the test of the margin: 12 slices beside the liver's 15 to 24, 4 pixels around the body's."""
    case = embedded(tmp_path, image=ct(), pred=labels())
    assert case["slices"] == [
        {"first": 1, "shown": 28, "step": 1, "of": 30},
        {"first": 0, "shown": 24, "step": 1, "of": 24},
        {"first": 3, "shown": 34, "step": 1, "of": 40},
    ]


@pytest.mark.parametrize(("most", "first", "shown"), [(40 * 24 * 28, 0, 40), (40 * 24 * 28 - 1, 3, 34)])
def test_a_whole_case_is_embedded_as_far_as_its_size_allows(tmp_path, monkeypatch, most, first, shown):
    monkeypatch.setattr(case_script, "MOST_VOXELS", most)
    image, prediction = (
        write(tmp_path / f"{name}.nii.gz", volume, CUBE)
        for name, volume in (("a_0000", ct()), ("a", labels()))
    )
    files = CaseFiles(name="a", image=image, prediction=prediction, truth=None)
    whole = read_case(files, FLARE23, 1.0, whole=True)
    assert whole.slices[0] == Slices(first=first, shown=shown, step=1, of=40)
    assert read_case(files, FLARE23, 1.0).slices[0] == Slices(first=3, shown=34, step=1, of=40)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (("image",), ()),
        (("image", "pred"), ("prediction",)),
        (("image", "truth"), ("truth",)),
        (("pred", "truth"), ("prediction", "truth")),
        (("pred",), ("prediction",)),
        (("image", "pred", "truth"), ("prediction", "truth")),
    ],
)
def test_a_case_shows_what_there_is(tmp_path, given, held):
    volumes = {"image": ct(), "pred": labels(), "truth": labels()}
    case = embedded(tmp_path, **{name: volumes[name] for name in given})
    assert [name for name in ("prediction", "truth") if case[name] is not None] == list(held)
    # Without a CT, labels are shown on black.
    assert voxels(case, "ct").any() == ("image" in given)


def test_it_opens_where_most_is_wrong(tmp_path):
    truth = labels()
    truth[30, 10, 12:16] = 3
    case = embedded(tmp_path, image=ct(), pred=labels(), truth=truth)
    x, y, z = case["start"]
    wrong = voxels(case, "truth") != voxels(case, "prediction")
    assert wrong[z].any()
    assert wrong[:, y].any()
    assert wrong[:, :, x].any()


def test_without_errors_it_opens_where_most_structures_show(tmp_path):
    case = embedded(tmp_path, image=ct(), pred=labels(), truth=labels())
    x, y, z = case["start"]
    liver = voxels(case, "prediction") == 1
    assert liver[z].any()
    assert liver[:, y].any()
    assert liver[:, :, x].any()


def test_a_prediction_on_another_grid_is_brought_to_the_cts(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {}})
    write(tmp_path / "images" / "a_0000.nii.gz", ct(), CUBE, (0, 0, 0))
    # Half as many slices, twice as thick: centres at 0.5, 2.5, … mm.
    write(tmp_path / "pred" / "a.nii.gz", labels()[::2], (2.0, 1.0, 1.0), (0.0, 0.0, 0.5))
    folders = ("--images", tmp_path / "images", "--pred", tmp_path / "pred")
    assert report(tmp_path, *folders, "--detail-mm", 1) == 0
    case = case_in(tmp_path, "0001")
    slices = np.flatnonzero((voxels(case, "prediction") == 1).any(axis=(1, 2)))
    assert slices.size == 10
    assert (np.diff(slices) == 1).all()


@pytest.mark.parametrize("stored", ["LPS", "RAS", "PIR"])
def test_however_files_are_stored_the_case_looks_the_same(tmp_path, stored):
    straight = embedded(tmp_path / "straight", image=ct(), pred=labels())
    folder = tmp_path / "turned"
    for option, name in (("--images", "a_0000.nii.gz"), ("--pred", "a.nii.gz")):
        (folder / option).mkdir(parents=True)
        image = sitk.ReadImage(str(tmp_path / "straight" / option / name))
        sitk.WriteImage(sitk.DICOMOrient(image, stored), str(folder / option / name))
    write_scores(folder / "scores.csv", {"a": {}})
    words = [word for option in ("--images", "--pred") for word in (option, folder / option)]
    assert report(folder, *words, "--detail-mm", 1) == 0
    assert case_in(folder, "0001") == straight


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (np.full(SHAPE, 77, np.uint8), "label 77"),
        (np.full(SHAPE, -5, np.int16), "is this an image"),
        (None, "cannot be read"),
    ],
)
def test_one_bad_case_does_not_spoil_the_report(tmp_path, capsys, prediction, said):
    write_scores(tmp_path / "scores.csv", {"a": {}, "b": {}})
    write(tmp_path / "pred" / "a.nii.gz", labels(), CUBE)
    if prediction is None:
        (tmp_path / "pred" / "b.nii.gz").write_bytes(b"no image")
    else:
        write(tmp_path / "pred" / "b.nii.gz", prediction, CUBE)
    assert report(tmp_path, "--pred", tmp_path / "pred") == 1
    good, bad = data_in(tmp_path)["cases"]
    assert (good["volume"], bad["volume"]) == ("0001", None)
    assert said in bad["volume_error"]
    assert "b: not shown" in capsys.readouterr().err
    assert files_in(tmp_path / "report" / "cases") == ["0001.js"]


@pytest.mark.parametrize("given", ["image", "truth"])
def test_no_voxel_of_a_prediction_of_far_more_voxels_is_read(tmp_path, monkeypatch, given):
    """Four voxels, of which 27 times as many may be read, beside 5³ = 125."""
    monkeypatch.setattr("eval.volumes.MANY_VOXELS", 0)
    read = []
    monkeypatch.setattr(case_script, "read_labels", lambda path: read.append(path) or read_labels(path))
    grid = np.full((1, 2, 2), 1 if given == "truth" else 40, np.uint8)
    path = write(tmp_path / f"{given}.nii.gz", grid)
    prediction = write_claim(tmp_path / "pred.nii.gz", (5, 5, 5))
    files = {"image": None, "truth": None, given: path}
    with pytest.raises(JudgingError, match="sizes differ, 5×5×5 and 2×2×1 voxels; shown are up to 27 times"):
        read_case(CaseFiles(name="a", prediction=prediction, **files), FLARE23, 1.0)
    assert prediction not in read


def test_the_viewer_is_taken_only_if_it_is_the_one_that_was_pinned(tmp_path, monkeypatch):
    fetched = tmp_path / "niivue.umd.js"
    assert viewer_script(fetched) is None
    fetched.write_bytes(b"var niivue = 1;")
    assert viewer_script(fetched) is None
    monkeypatch.setattr(viewer, "SHA256", hashlib.sha256(b"var niivue = 1;").hexdigest())
    script = viewer_script(fetched)
    assert script.endswith(b"var niivue = 1;")
    assert script.startswith(b"/*!\nNiiVue")
    assert b"BSD 2-Clause" in script


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_takes_its_place_whole(tmp_path, there):
    target = tmp_path / "report"
    if there:
        target.mkdir()
        (target / "old").touch()
    with atomic_folder(target) as folder:
        (folder / "new").touch()
        assert files_in(target) == (["old"] if there else [])
    assert files_in(tmp_path) == ["report/new"]
