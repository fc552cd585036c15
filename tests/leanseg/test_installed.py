"""The wheel, installed into an environment of its own beside the packages of the running one."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from leanseg.version import VERSION
from tests.places import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Root of a virtual environment that holds the wheel and sees the running environment's packages."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (make test does it)")
    folder = tmp_path_factory.mktemp("installed")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-index",
        "--no-build-isolation",
        "--no-deps",
    ]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("leanseg-*.whl")
    venv.create(folder / "venv", with_pip=True)
    install = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True)
    site_packages(folder / "venv").joinpath("running.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv"


def site_packages(environment):
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


def run(environment, *words, cwd):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(environment / "bin" / words[0]), *words[1:]],
        cwd=cwd,
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_one_name_is_installed(environment):
    names = {path.name for path in site_packages(environment).iterdir()}
    ours = {name for name in names if not name.startswith(("pip", "setuptools", "_distutils", "distutils"))}
    assert ours - {"pkg_resources", "__pycache__"} == {
        "leanseg",
        f"leanseg-{VERSION}.dist-info",
        "running.pth",
    }


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--version"], f"leanseg {VERSION}"),
        (["--help"], "segment CTs"),
        (["predict", "--help"], "usage: leanseg predict"),
        (["eval", "--help"], "leanseg eval score"),
        (["eval", "score", "--help"], "usage: leanseg eval score"),
        (["training", "--help"], "usage: leanseg training"),
    ],
    ids=str,
)
def test_the_command(environment, tmp_path, words, shown):
    ran = run(environment, "leanseg", *words, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert shown in ran.stdout


def test_a_missing_package_is_named_with_the_extra_that_brings_it(environment, tmp_path):
    """`-S` hides site-packages; the installed package alone is put back on the path."""
    source = f"import sys; sys.path.append({str(site_packages(environment))!r}); "
    words = ["training", "train", "default", "--data", "x", "--output", "y"]
    source += f"from leanseg.__main__ import main; sys.exit(main({words}))"
    ran = run(environment, "python", "-S", "-c", source, cwd=tmp_path)
    assert ran.returncode == 1
    assert "; run pip install '.[training]' in the clone" in ran.stderr


def test_the_embedded_bundle_segments(environment, tmp_path):
    images = ROOT / "examples" / "phantom" / "imagesTr"
    ran = run(environment, "leanseg", "predict", "--input", str(images), "--output", "out", cwd=tmp_path)
    assert (ran.returncode, (tmp_path / "out" / "phantom.nii.gz").exists()) == (0, True), ran.stderr


def test_the_readmes_lines_of_python(environment, tmp_path):
    image = ROOT / "examples" / "phantom" / "imagesTr" / "phantom_0000.nii.gz"
    shutil.copy(image, tmp_path / "my_ct.nii.gz")
    (source,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    ran = run(environment, "python", "-c", source, cwd=tmp_path)
    assert (ran.returncode, (tmp_path / "labels.nii.gz").exists()) == (0, True), ran.stderr
