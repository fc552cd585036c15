"""Checkpoints that are damaged within, so that torch's unpickler fails in a way of its own."""

import pickle
import zipfile

import pytest
import torch

from model.importers.safe_checkpoint import read_checkpoint
from model.model_errors import RefusedModelError


@pytest.mark.parametrize(
    ("pickled", "beneath"),
    [
        (b".", IndexError),  # ends, and there is no value to give
        (b"}]Ns.", TypeError),  # {[]: None}, and a list is no key
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00nonetR.", LookupError),  # in code "none"
    ],
)
def test_a_damaged_pickle_is_refused_whatever_torch_makes_of_it(tmp_path, pickled, beneath):
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"a": torch.ones(1)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(path, "w") as damaged:
        for name in whole.namelist():
            held = pickle.PROTO + b"\x02" + pickled if name.endswith("data.pkl") else whole.read(name)
            damaged.writestr(name, held)
    with pytest.raises(RefusedModelError) as refused:
        read_checkpoint(path)
    assert str(refused.value) == f"{path}: damaged, or no checkpoint of torch"
    assert isinstance(refused.value.__cause__, beneath)
