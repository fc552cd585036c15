"""The files that the image gets are enough to run: no module stays behind in the clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """What `.dockerignore` lets through, in a folder of its own: `*` shuts everything out, `!` lets in."""
    folder = tmp_path_factory.mktemp("image")
    everything, *rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert everything == "*"
    for rule in rules:
        if not rule.startswith("!"):
            shutil.rmtree(folder / rule, ignore_errors=True)
            continue
        for path in ROOT.glob(rule[1:]):
            place = folder / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, place)
    return folder


@pytest.mark.parametrize("program", ["predict.py", "-m inference.grand_challenge"])
def test_the_programs_of_the_image_start_with_its_files(workspace, program):
    env = {**os.environ, "PYTHONPATH": str(workspace), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = [sys.executable, *program.split(), "--help"]
    shown = subprocess.run(asked, cwd=workspace, env=env, capture_output=True, encoding="utf-8", check=False)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_case_is_planned_by_the_files_of_the_image(workspace, tmp_path):
    images = ROOT / "examples/phantom/imagesTr"
    env = {**os.environ, "PYTHONPATH": str(workspace), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "predict.py", "--plan", "--input", str(images), "--output", str(tmp_path)],
        cwd=workspace, env=env, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert "phantom_0000.nii.gz" in run.stdout
