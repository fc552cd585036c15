"""The README's lines of Python, in a clone; `test_installed.py` runs them with the installed package."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from inference.geometry import same_grid
from leanseg import api
from tests.inference.images import voxels, write_nifti
from tests.places import ROOT, real_data


def test_the_readmes_lines_of_python(tmp_path):
    shutil.copy(real_data("ct_abdomen/ct_0000.nii.gz"), tmp_path / "my_ct.nii.gz")
    (source,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    ran = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "labels.nii.gz").exists()
    assert ran.stdout.startswith("(")


def test_paths_may_be_texts(tmp_path, monkeypatch):
    """A small image, read and written by names alone; the bundle is found where its name says."""
    monkeypatch.chdir(tmp_path)
    write_nifti(tmp_path / "a.nii.gz", voxels((4, 3, 2)))
    volume = api.read_volume("a.nii.gz")
    api.write_labels("b.nii.gz", np.zeros((2, 3, 4), dtype=np.uint8), volume.geometry)
    assert not api.read_volume("b.nii.gz").array.any()
    assert api.load_bundle(str(api.EMBEDDED_BUNDLE)).folder == api.EMBEDDED_BUNDLE


def test_what_a_script_must_catch_is_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(api.InputError, match=r"none\.nii\.gz: cannot be read"):
        api.read_volume("none.nii.gz")
    with pytest.raises(api.BundleError, match="none"):
        api.load_bundle("none")
    write_nifti(tmp_path / "a.nii.gz", voxels((4, 3, 2)))
    geometry = api.read_volume("a.nii.gz").geometry
    with pytest.raises(api.OutputError, match="none"):
        api.write_labels("none/b.nii.gz", np.zeros((2, 3, 4), dtype=np.uint8), geometry)
    for error in (api.InputError, api.BudgetError, api.DeviceError, api.OutputError, api.BundleError):
        assert issubclass(error, api.LeanSegError)
    assert issubclass(api.BundleError, ValueError)
    assert all(hasattr(api, name) for name in api.__all__)


def test_every_exception_is_told_of_in_the_docstring():
    errors = [name for name in api.__all__ if name.endswith("Error")]
    assert len(errors) == 6
    assert all(f" {name} " in api.__doc__ for name in errors)


def examples():
    """The docstring's examples, by the word that they begin with."""
    found = re.findall(r"\n\n((?:    .*\n)+)", api.__doc__)
    return [textwrap.dedent(each) for each in found]


@pytest.mark.parametrize("library", ["SimpleITK", "nibabel"])
def test_arrays_of_other_libraries_lie_where_the_file_says(library, tmp_path, monkeypatch):
    """A grid of 2 x 3 x 4 mm that is turned by 90 degrees: rows of the file run upwards."""
    module = pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    turned = {"srow": (-2.0, 0, 0, 10, 0, 0, -4.0, 20, 0, 3.0, 0, 30), "qform_code": 0}
    write_nifti(tmp_path / "ct_0000.nii.gz", voxels((4, 3, 2)), **turned)
    (source,) = (each for each in examples() if each.startswith(f"image = {library}."))
    names = {library: module, "numpy": np, "Volume": api.Volume, "Geometry": api.Geometry}
    exec(source, names)
    made, read = names["volume"], api.read_volume("ct_0000.nii.gz")
    np.testing.assert_array_equal(made.array, read.array)
    assert same_grid(made.geometry, read.geometry)
    assert made.geometry.spacing_zyx_mm == pytest.approx((4, 3, 2))


def test_type_checkers_are_told_that_there_are_types():
    assert (ROOT / "leanseg" / "py.typed").is_file()
