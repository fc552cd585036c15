"""The container as organisers run it, and locked down as hospitals do.

Needs a `docker` command; called by `make container-test`.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from model.labels import FLARE23
from tests.inference.images import write_series
from tests.places import ROOT, real_data

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0
        if shutil.which("docker")
        else True,
        reason="no docker command that works",
    ),
]
NAME = "leanseg-test"
GEOMETRY = ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")


def docker(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=1200, cwd=cwd
    )


def run_container(*arguments: str) -> subprocess.CompletedProcess:
    """`docker run --rm`, but with the exit code from the engine: Podman behind Docker's client forgets it."""
    name = f"{NAME}-run"
    created = docker("create", "--name", name, *arguments)
    assert created.returncode == 0, created.stderr
    try:
        run = docker("start", "--attach", name)
        code = docker("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip()
        return subprocess.CompletedProcess(run.args, int(code), run.stdout, run.stderr)
    finally:
        docker("rm", "--force", name)


@pytest.fixture(scope="module")
def image() -> str:
    built = docker("build", "--network", "host", "--target", "cpu", "-t", NAME, str(ROOT))
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return f"{NAME}:latest"


@pytest.fixture
def bench(tmp_path) -> Path:
    """A folder with `inputs/` holding one CT and an empty `outputs/`, as organisers make them."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "outputs").mkdir()
    shutil.copy(real_data("ct_abdomen/ct_0000.nii.gz"), tmp_path / "inputs" / "case_0000.nii.gz")
    return tmp_path


def listing(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def check_result(bench: Path) -> None:
    assert [path.name for path in (bench / "outputs").iterdir()] == ["case.nii.gz"]
    ct, labels = (
        sitk.ReadImage(str(bench / "inputs" / "case_0000.nii.gz")),
        sitk.ReadImage(str(bench / "outputs" / "case.nii.gz")),
    )
    for what in GEOMETRY:
        assert getattr(ct, what)() == getattr(labels, what)()
    found = set(np.unique(sitk.GetArrayViewFromImage(labels)).tolist())
    assert found <= {0, *FLARE23.ids.values()}
    assert {FLARE23.ids["liver"], FLARE23.ids["spleen"]} <= found


def test_the_organisers_command(image, bench):
    """To the letter of FLARE24's CPU task: no --user; `outputs/` belongs to whoever made it, here root."""
    (bench / "outputs").chmod(0o755)
    before = listing(bench / "inputs")
    command = (
        f"docker container run -m 8G --name {NAME} --rm -v $PWD/inputs/:/workspace/inputs/ "
        f'-v $PWD/outputs/:/workspace/outputs/ {image} /bin/bash -c "sh predict.sh" '
    )
    run = subprocess.run(
        command, shell=True, cwd=bench, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stdout + run.stderr
    check_result(bench)
    assert listing(bench / "inputs") == before


LOCKED = (
    "--network",
    "none",
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--user",
    "1234:1234",
    "--cap-drop",
    "ALL",
    "-m",
    "8g",
)


def test_locked_down(image, bench):
    (bench / "outputs").chmod(0o777)
    mounts = ("-v", f"{bench}/inputs:/workspace/inputs:ro", "-v", f"{bench}/outputs:/workspace/outputs")
    run = run_container(*LOCKED, *mounts, image)
    assert run.returncode == 0, run.stdout + run.stderr
    check_result(bench)
    assert (bench / "outputs" / "case.nii.gz").stat().st_uid == 1234


@pytest.mark.parametrize("options", [LOCKED, ()])
def test_compressed_dicom_is_unpacked_by_a_second_process(image, bench, options):
    """Under another user on a read-only system, and where `outputs/` belongs to root."""
    (bench / "inputs" / "case_0000.nii.gz").unlink()
    write_series(
        bench / "inputs" / "case", [(0.0, 0.0, 3.0 * i) for i in range(4)], size=(64, 64), compressor="JPEG"
    )
    (bench / "outputs").chmod(0o777 if options else 0o755)
    mounts = ("-v", f"{bench}/inputs:/workspace/inputs:ro", "-v", f"{bench}/outputs:/workspace/outputs")
    run = run_container(*options, *mounts, image)
    assert run.returncode == 0, run.stdout + run.stderr
    assert sitk.ReadImage(str(bench / "outputs" / "case.nii.gz")).GetSize() == (64, 64, 4)


@pytest.mark.skipif(os.getuid() != 0, reason="outputs/ must belong to another user than 1234")
def test_an_unwritable_output_folder_is_one_clear_line(image, bench):
    (bench / "outputs").chmod(0o755)
    mounts = ("-v", f"{bench}/inputs:/workspace/inputs:ro", "-v", f"{bench}/outputs:/workspace/outputs")
    run = run_container(*LOCKED, *mounts, image)
    assert run.returncode == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert "outputs" in run.stderr
    assert list((bench / "outputs").iterdir()) == []


def test_what_is_in_the_image(image):
    assert docker("image", "inspect", "--format", "{{.Config.User}}", image).stdout.strip() == "1000:1000"
    absent = ("torch", "monai", "scipy", "openvino_telemetry", "training", "eval", "leanseg")
    script = f"import importlib.util; print([name for name in {absent} if importlib.util.find_spec(name)])"
    run = run_container("--network", "none", image, "python3", "-c", script)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


def test_save_and_load(image, bench, tmp_path):
    archive = tmp_path / "team.tar"
    saved = docker("save", image, "-o", str(archive))
    assert saved.returncode == 0, saved.stderr
    assert docker("rmi", "--force", image).returncode == 0
    loaded = docker("load", "-i", str(archive))
    assert loaded.returncode == 0, loaded.stderr
    (bench / "outputs").chmod(0o755)
    mounts = ("-v", f"{bench}/inputs/:/workspace/inputs/", "-v", f"{bench}/outputs/:/workspace/outputs/")
    run = run_container(*mounts, image, "/bin/bash", "-c", "sh predict.sh")
    assert run.returncode == 0, run.stdout + run.stderr
    check_result(bench)
