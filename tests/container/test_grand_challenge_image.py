"""The image for grand-challenge.org, run as the test script of the platform's template runs one."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from tests.container.test_container import GEOMETRY, docker, pytestmark, run_container
from tests.places import ROOT, real_data

__all__ = ["pytestmark"]
NAME = "leanseg-test-grand-challenge"
RESULT = "images/organ-segmentation"


@pytest.fixture(scope="module")
def image() -> str:
    options = ("--network", "host", "--target", "grand-challenge", "--build-arg", f"RESULT={RESULT}")
    built = docker("build", *options, "-t", NAME, str(ROOT))
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return f"{NAME}:latest"


def test_a_job(image, tmp_path):
    """Without network, only `/output` and `/tmp` to write to; then opened up as the template does."""
    (tmp_path / "input/images/ct").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    (tmp_path / "output").mkdir()
    (tmp_path / "output").chmod(0o777)
    ct = sitk.ReadImage(str(real_data("ct_abdomen/ct_0000.nii.gz")))
    sitk.WriteImage(ct, str(tmp_path / "input/images/ct/3f2a.mha"))
    socket = {"slug": "ct-image", "super_kind": "Image", "relative_path": "images/ct"}
    (tmp_path / "input/inputs.json").write_text(json.dumps([{"socket": socket}]))
    volumes = ("input:/input:ro", "output:/output", "model:/opt/ml/model:ro")
    mounted = [word for volume in volumes for word in ("--volume", f"{tmp_path}/{volume}")]
    run = run_container("--network", "none", "--read-only", "--tmpfs", "/tmp", *mounted, image)
    assert run.returncode == 0, run.stdout + run.stderr
    (made,) = (path for path in (tmp_path / "output").rglob("*") if path.is_file())
    assert made == tmp_path / "output" / RESULT / "output.mha"
    labels = sitk.ReadImage(str(made))
    for what in GEOMETRY:
        assert getattr(labels, what)() == pytest.approx(getattr(ct, what)())
    assert np.count_nonzero(sitk.GetArrayFromImage(labels)) > 1000
    opened = run_container(
        *mounted[2:4], "--entrypoint", "/bin/sh", image, "-c", "chmod -R -f o+rwX /output/* || true"
    )
    assert opened.returncode == 0
    assert made.stat().st_mode & 0o006 == 0o006
