"""Hostile bundles through the entry point: one line that names the file, code 2, nothing written, soon."""

import shutil
import time

import pytest

import predict
from tests.end_to_end.calls import names
from tests.hostile.hostile_bundles import BUNDLES
from tests.inference.bundles import abdomen, hu, make_bundle
from tests.inference.images import write_nifti

PATIENCE_S = 20.0
"""Of the processor for one bundle; what is not bounded takes minutes, or all memory."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    (folder / "inputs").mkdir()
    write_nifti(folder / "inputs" / "case.nii.gz", hu(abdomen()))
    make_bundle(folder / "bundle")
    return folder


@pytest.mark.parametrize("what", BUNDLES)
def test_refused_in_one_line(what, sound, tmp_path, capfd):
    bundle = shutil.copytree(sound / "bundle", tmp_path / "bundle")
    BUNDLES[what](bundle)
    words = ["--input", str(sound / "inputs"), "--output", str(tmp_path / "outputs"), "--bundle", str(bundle)]
    start = time.process_time()
    assert predict.main(words) == 2
    assert time.process_time() - start < PATIENCE_S
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"error: {bundle}")
    assert "fault of the program" not in err
    assert err.rstrip("\n").isprintable()
    assert len(err) < 2000
    assert names(tmp_path / "outputs") == []
