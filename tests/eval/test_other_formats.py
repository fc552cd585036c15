"""Label maps in MetaImage and NRRD are judged as those in NIfTI are."""

import os

import numpy as np
import pytest
import SimpleITK as sitk

from eval.__main__ import main
from eval.eval_errors import JudgingError
from eval.scoring.pairing import pair_files
from eval.volumes import read_labels


def write(path, values):
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(np.array(values, np.uint8).reshape(1, 2, -1))
    sitk.WriteImage(image, str(path), useCompression=path.name.endswith(".gz"))
    return path


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_result_is_scored_against_a_truth_in_another_format(suffix, tmp_path, capsys):
    """Of liver, 2 voxels are common of 3 and 2: Dice 2 · 2 / 5."""
    write(tmp_path / "truth" / f"a{suffix}", [1, 1, 1, 0])
    write(tmp_path / "pred" / "a.nii.gz", [1, 1, 0, 0])
    folders = ["--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth")]
    assert main(["score", *folders, "--labels", "flare22", "--output", str(tmp_path / "s.csv")]) == 0
    header, row = (tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["Name"], float(cells["Liver_DSC"])) == (f"a{suffix}", 0.8)


def test_a_case_in_two_formats_is_refused(tmp_path):
    write(tmp_path / "truth" / "a.nrrd", [1, 1])
    write(tmp_path / "truth" / "a.nii.gz", [1, 1])
    with pytest.raises(JudgingError, match=r"holds both a\.nii\.gz and a\.nrrd; keep one"):
        pair_files(tmp_path / "truth", tmp_path / "truth")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_file_that_is_cut_short_is_refused(suffix, tmp_path):
    path = write(tmp_path / "truth" / f"a{suffix}", [1, 2, 3, 4])
    os.truncate(path, path.stat().st_size - 2)
    with pytest.raises(JudgingError, match=f"a{suffix}: cannot be read"):
        read_labels(path)
