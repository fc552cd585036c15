"""Real containers that end well, fail, hang and take too much memory.

They need a `docker` command and the slim Python image.
"""

import csv
import shutil
import subprocess

import numpy as np
import pytest

from eval.__main__ import main
from tests.eval.made import write

BASE = "python:3.11-slim-bookworm"
NAME = "leanseg-eval-test"
SCRIPT = """case "$(ls inputs)" in
    good*)
        cp inputs/good_0000.nii.gz outputs/good.nii.gz
        exec python3 -c "import time; held = bytearray(60000000); time.sleep(2)" ;;
    fails*) echo "out of ideas" >&2; exit 3 ;;
    hungry*) exec python3 -c "held = bytearray(900000000)" ;;
    hangs*) cp inputs/hangs_0000.nii.gz outputs/hangs.nii.gz; exec sleep 1000 ;;
esac
"""

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(
        subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False).returncode != 0
        if shutil.which("docker")
        else True,
        reason=f"no docker command that has {BASE}",
    ),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("image")
    (folder / "predict.sh").write_text(SCRIPT)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nWORKDIR /workspace\nCOPY predict.sh .\n")
    built = subprocess.run(
        ["docker", "build", "-t", NAME, str(folder)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return f"{NAME}:latest"


@pytest.mark.parametrize("official", [False, True])
def test_four_ways_to_end(image, tmp_path, official):
    for case in ("good", "fails", "hungry", "hangs"):
        write(tmp_path / "images" / f"{case}_0000.nii.gz", np.full((3, 4, 5), 2, np.uint8))
    paths = [
        "--input",
        str(tmp_path / "images"),
        "--output",
        str(tmp_path / "pred"),
        "--results",
        str(tmp_path / "efficiency.csv"),
    ]
    assert (
        main(
            [
                "container",
                image,
                *paths,
                "--memory",
                "200m",
                "--limit",
                "25",
                *(["--official-command"] if official else []),
            ]
        )
        == 1
    )
    with (tmp_path / "efficiency.csv").open(newline="") as stream:
        rows = {row["Name"].removesuffix(".nii.gz"): row for row in csv.DictReader(stream)}
    ends = {name: row["Status"] for name, row in rows.items()}
    assert ends == {"good": "ok", "fails": "failed", "hungry": "out of memory", "hangs": "timeout"}, rows
    assert [path.name for path in (tmp_path / "pred").iterdir()] == ["good.nii.gz"]
    assert 57 < float(rows["good"]["OwnRAM_Max_MB"]) < 200
    assert rows["hangs"]["Time"] == "3600.0"
    left = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", "name=leanseg-eval-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""
