"""The command from end to end, on a scan and networks so small that they take a second."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from eval.__main__ import main
from eval.benchmark.contestants import CONTESTANTS
from model.networks.unet_specs import PlainUNetSpec
from training.commands.work.untrained_work import write_untrained

TINY = PlainUNetSpec(out_channels=4, features=(2, 4, 8), strides=((1, 2, 2), (2, 2, 2)))


def write_ct(path):
    hu = np.random.default_rng(0).normal(50, 100, (12, 40, 44)).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, str(path))
    return path


def in_fp32(bundle):
    """Random weights have no opinion, so that bf16, where a processor has it, changes many voxels."""
    path = bundle / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"precision": "bf16"', '"precision": "fp32"'))
    return bundle


def test_wrong_input_is_refused_before_anything_runs(tmp_path, capsys):
    assert (
        main(
            [
                "benchmark",
                "inference",
                "--output",
                str(tmp_path / "out"),
                "--ct",
                str(tmp_path / "none.nii.gz"),
            ]
        )
        == 2
    )
    assert "no such file" in capsys.readouterr().err
    ct = str(write_ct(tmp_path / "ct.nii.gz"))
    command = [
        "benchmark",
        "inference",
        "--output",
        str(tmp_path / "out"),
        "--ct",
        ct,
        "--networks",
        str(tmp_path),
    ]
    assert main(command) == 2
    assert "no bundle here" in capsys.readouterr().err
    assert main(["benchmark", "inference", "--output", ct]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.slow
def test_from_end_to_end_and_once_more(tmp_path, capsys):
    ct, output = write_ct(tmp_path / "ct_0000.nii.gz"), tmp_path / "out"
    bundle = in_fp32(write_untrained(tmp_path / "tiny", TINY, (8, 16, 16), seed=0).folder)
    command = [
        "benchmark",
        "inference",
        "--output",
        str(output),
        "--ct",
        str(ct),
        "--networks",
        str(bundle),
        "--repeats",
        "1",
        "--folder",
        "2",
    ]
    assert main(command) == 0
    table = capsys.readouterr().out
    made = sorted((output / "runs").glob("*.json"))
    # A bundle without localization and clean-up has no bare variant.
    assert len(made) == len(CONTESTANTS) - 1
    assert "of 2 cold runs" in table
    agreed = {
        name.split("|", 2)[2]: value["dice"]
        for name, value in json.loads((output / "agreement.json").read_text(encoding="utf-8")).items()
    }
    assert agreed["predict.py|plain-same-windows"] > 0.99
    assert {"benchmark.md", "benchmark-stages.png", "benchmark-memory.png"} <= {
        path.name for path in output.iterdir()
    }
    before = [path.stat().st_mtime_ns for path in made]
    made[0].unlink()
    assert main(command) == 0
    after = [path.stat().st_mtime_ns for path in made]
    assert after[0] > before[0]
    assert after[1:] == before[1:]
