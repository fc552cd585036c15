"""Contenders are run on the same cases; agreement and figures can be told by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark.cold_runs import Measured
from eval.eval_errors import JudgingError
from eval.verification.comparison import Agreement, Contest, agreement, run_all
from eval.verification.contenders import Case, Contender, cases_in, check_nifti, leanseg, monai, nnunet
from eval.verification.findings import structures_table, table
from model.labels import LabelSet

OWN = LabelSet(name="own", ids={"liver": 1, "spleen": 2})


def write_map(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.array(values, np.uint8).reshape(1, 1, -1)), str(path))


def case(name="a"):
    return Case(name=name, channels=())


def test_agreement_by_hand(tmp_path):
    """Liver: 2 common of 2 and 3, so 2 * 2 / 5; spleen: 1 common of 2 and 1; two voxels differ."""
    write_map(tmp_path / "ours" / "a.nii.gz", [1, 1, 2, 2, 0, 0])
    write_map(tmp_path / "theirs" / "a.nii.gz", [1, 1, 1, 2, 0, 0])
    found = agreement(case(), tmp_path / "ours", tmp_path / "theirs", OWN)
    assert found.dice == pytest.approx({"liver": 4 / 5, "spleen": 2 / 3})
    assert (found.differing, found.voxels) == (1, 6)
    assert found.mean_dice == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_what_the_label_set_has_not_is_left_out(tmp_path):
    """Label 14 of theirs is background: liver 2 * 2 / 4, spleen 2 * 1 / 3, and one voxel differs."""
    write_map(tmp_path / "ours" / "a.nii.gz", [1, 1, 2, 2, 0, 0])
    write_map(tmp_path / "theirs" / "a.nii.gz", [1, 1, 14, 2, 14, 0])
    found = agreement(case(), tmp_path / "ours", tmp_path / "theirs", OWN)
    assert found.dice == pytest.approx({"liver": 1, "spleen": 2 / 3})
    assert (found.differing, found.left_out) == (1, (14,))


def test_empty_maps_agree(tmp_path):
    for folder in ("ours", "theirs"):
        write_map(tmp_path / folder / "a.nii.gz", [0, 0])
    assert agreement(case(), tmp_path / "ours", tmp_path / "theirs", OWN).mean_dice == 1


def test_maps_on_other_grids_are_refused(tmp_path):
    write_map(tmp_path / "ours" / "a.nii.gz", [1, 1])
    write_map(tmp_path / "theirs" / "a.nii.gz", [1, 1, 1])
    with pytest.raises(JudgingError, match="is not on the grid"):
        agreement(case(), tmp_path / "ours", tmp_path / "theirs", OWN)


def test_cases_and_their_channels(tmp_path):
    for name in ("b_0001.nii.gz", "b_0000.nii.gz", "a.nii", "notes.txt"):
        (tmp_path / name).touch()
    first, second = cases_in(tmp_path)
    assert (first.name, second.name) == ("a", "b")
    assert [path.name for path in second.channels] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    with pytest.raises(JudgingError, match="no such folder"):
        cases_in(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JudgingError, match=r"holds no \.nii\.gz, \.nii, \.mha or \.nrrd file"):
        cases_in(tmp_path / "empty")


@pytest.mark.parametrize(
    ("files", "channels", "complaint"),
    [
        (["a_0000.nii.gz"], 2, "case a lacks a_0001; the bundle takes 2 channels"),
        (["a.nii.gz"], 2, "case a lacks a_0000, a_0001; the bundle takes 2 channels"),
        (
            ["a_0000.nii.gz", "a_0001.nii.gz"],
            1,
            "case a has 2 files, a_0000.nii.gz, a_0001.nii.gz; the bundle takes 1 channel",
        ),
        (["a.nii.gz", "a_0000.nii"], 1, "case a has 2 files, a.nii.gz, a_0000.nii; the bundle takes 1 chann"),
    ],
)
def test_cases_of_more_or_fewer_channels_are_refused(files, channels, complaint, tmp_path):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(JudgingError, match=complaint):
        cases_in(tmp_path, channels)


def test_label_maps_of_images_in_other_formats(tmp_path):
    """`predict.py` calls the label map of `a_0000.nrrd` `a.nii.gz`; nnU-Net may call it `a.nrrd`."""
    (tmp_path / "a_0000.nrrd").touch()
    (tmp_path / "b.mha").touch()
    first, second = cases_in(tmp_path, 1)
    assert [path.name for path in (*first.channels, *second.channels)] == ["a_0000.nrrd", "b.mha"]
    with pytest.raises(JudgingError, match=r"a_0000\.nrrd: MONAI reads .* convert it to \.nii\.gz"):
        check_nifti([first])
    write_map(tmp_path / "ours" / "a.nii.gz", [1, 1, 2])
    write_map(tmp_path / "theirs" / "a.nrrd", [1, 1, 2])
    assert agreement(first, tmp_path / "ours", tmp_path / "theirs", OWN).differing == 0


def test_numbers_without_a_first_channel_are_of_cases(tmp_path):
    """As FLARE names cases; `predict.py` calls the label maps so too."""
    for name in ("FLARE_0001.nii.gz", "FLARE_0002.nii.gz", "b_0000.nii.gz"):
        (tmp_path / name).touch()
    assert [each.name for each in cases_in(tmp_path, 1)] == ["FLARE_0001", "FLARE_0002", "b"]


def test_command_lines(tmp_path):
    given = Case(name="a", channels=(tmp_path / "a_0000.nii.gz",))
    python, model = tmp_path / "python", tmp_path / "model"
    theirs = nnunet(python, model, ("0", "all"), "best.pth", mirrored=False, float32_sums=True)
    words = list(theirs.command(given, tmp_path / "out"))
    assert words[0] == str(tmp_path / "python")
    assert " ".join(words[2:]) == (
        f"--model {tmp_path}/model --folds 0 all --checkpoint best.pth --images {tmp_path}/a_0000.nii.gz "
        f"--output {tmp_path}/out/a --no-mirroring --float32-sums"
    )
    ours = list(leanseg("ours", tmp_path / "bundle", fp32=True).command(given, tmp_path / "out"))
    assert ours[-2:] == ["--precision", "fp32"]
    assert (tmp_path / "out-images" / "a" / "a_0000.nii.gz").is_symlink()


def test_programs_that_run_elsewhere_are_given_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path("images/a_0000.nii.gz"), Path("peers/python")):
        path.parent.mkdir()
        path.touch()
    (found,) = cases_in(Path("images"))
    assert found.channels == (tmp_path / "images/a_0000.nii.gz",)
    for contender in (
        nnunet(Path("peers/python"), tmp_path / "model", ("0",), "best.pth"),
        monai(Path("peers/python"), tmp_path / "monai.json"),
    ):
        assert contender.command(found, tmp_path / "out")[0] == str(tmp_path / "peers/python")
    ours = leanseg("ours", Path("bundle"), fp32=False).command(found, tmp_path / "out")
    assert str(tmp_path / "bundle") in ours


def program(code):
    return Contender(name="other", command=lambda case, folder: [sys.executable, "-c", code, str(folder)])


def test_a_run_is_measured_in_a_process_of_its_own(tmp_path):
    writes = "import pathlib, sys; (pathlib.Path(sys.argv[1]) / 'a.nii.gz').touch()"
    runs = run_all(program(writes), [case()], tmp_path / "out")
    assert runs["a"].exit_code == 0
    assert runs["a"].wall_s > 0


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(JudgingError, match="other failed on a: out of paper"):
        run_all(program("raise SystemExit('out of paper')"), [case()], tmp_path / "out")


def test_the_reason_is_not_the_sum_of_cases(tmp_path):
    said = "print('error: a_0000.nii.gz: is no image\\n1 case: 1 failed; 0.0 s'); raise SystemExit(1)"
    with pytest.raises(JudgingError, match=r"other failed on a: a_0000\.nii\.gz: is no image$"):
        run_all(program(said), [case()], tmp_path / "out")


def test_a_run_that_writes_nothing_has_failed(tmp_path):
    with pytest.raises(JudgingError, match="other failed on a: exit code 0"):
        run_all(program("pass"), [case()], tmp_path / "out")


def measured(wall_s, peak_mb):
    return Measured(exit_code=0, wall_s=wall_s, cpu_s=2 * wall_s, peak_mb=peak_mb, stopped="", others=0.0)


def test_the_tables():
    runs = {"a": measured(1.0, 100.0), "b": measured(3.0, 50.0)}
    against = {
        "a": Agreement(dice={"liver": 0.5}, differing=3, voxels=10),
        "b": Agreement(dice={"liver": 1.0, "spleen": 0.8}, differing=0, voxels=10),
    }
    ours = Contest(contender="ours", runs=runs, against=against)
    lines = table([Contest(contender="theirs"), ours]).splitlines()
    assert lines[2] == "| theirs |  |  |  | reference |  |  |"
    assert lines[3] == "| ours | 2.0 | 4.0 | 100 | 0.70000 | 0.5000 | 3 of 20 |"
    assert structures_table(ours).splitlines()[2:] == [
        "| liver | 2 | 0.75000 | 0.50000 |",
        "| spleen | 1 | 0.80000 | 0.80000 |",
    ]
