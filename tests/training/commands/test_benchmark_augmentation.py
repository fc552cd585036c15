"""`benchmark augmentation` prints a table with a row for each way and size."""

import pytest
import torch

from training.__main__ import main
from training.comparison.patch_speed import WAYS


def test_the_table_has_all_ways(capsys):
    assert main(["benchmark", "augmentation", "--sides", "16", "--patches", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| augmentation | patch | patches/s |")
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(WAYS)
    for line in lines[2:]:
        cells = [float(cell) for cell in line.strip("| ").split(" | ")[2:]]
        assert len(cells) == 4
        assert min(cells) > 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--patches", "0"], 2, "--patches and --threads: must be 1 or more"),
        (["--sides", "1000"], 2, "--sides: must be 1 to 512"),
    ],
)
def test_numbers_out_of_range_are_refused(capsys, words, code, message):
    assert main(["benchmark", "augmentation", *words]) == code
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(capsys):
    assert main(["benchmark", "augmentation", "--device", "cuda"]) == 1
    assert "torch finds no usable NVIDIA GPU here" in capsys.readouterr().err
