"""Twenty CTs of all formats, one broken and one deadly, while driver and workers are killed at random.

However often a run is killed and resumed: every case has one fate, every label map is that of `predict.py`,
nothing is half-written or left over, and nothing is done twice.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pydicom
import pytest
import SimpleITK as sitk

import predict
from inference.cohort.cluster.worker.scratch import PREFIX, sweep_scratch
from model.labels import FLARE23
from tests.inference.bundles import hu, make_bundle
from tests.inference.cohort.cluster.deadly_program import DEADLY_ZYX
from tests.inference.imaging.dicom_results.series_files import write_series
from tests.places import CROPS, ROOT

pytestmark = pytest.mark.slow

STRIKES = 10
"""Signals that are sent in all."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


def as_series(folder, image):
    """A DICOM series of an image."""
    array = sitk.GetArrayFromImage(image).astype(np.int16)
    for path in write_series(folder, array.shape).iterdir():
        one = pydicom.dcmread(path)
        one.PixelData = array[one.InstanceNumber - 1].tobytes()
        one.save_as(path)


def body():
    """A synthetic CT of a real body's organs: each shows its own HU."""
    labels = sitk.ReadImage(str(CROPS / "label_maps/ts_s0327_label13.nii.gz"))
    part = labels[16:100, 12:78, 92:150]
    known = {1: "liver", 2: "right kidney", 5: "aorta", 13: "left kidney"}
    table = np.zeros(256, np.uint8)
    for label, name in known.items():
        table[label] = FLARE23.ids[name]
    image = sitk.GetImageFromArray(hu(table[sitk.GetArrayFromImage(part)]))
    image.CopyInformation(part)
    return image


def write_cases(flat):
    """Eighteen CTs side by side, as `predict.py` takes them: real crops, parts of them, synthetic ones."""
    flat.mkdir()
    abdomen = sitk.ReadImage(str(CROPS / "ct_abdomen/ct_0000.nii.gz"))
    sarcoma = sitk.ReadImage(str(CROPS / "ct_sarcoma/STS_002/ct_0000.nii.gz"))
    drawn = body()
    for ending in ("nii.gz", "nii", "mha", "mhd", "nrrd"):
        sitk.WriteImage(abdomen, str(flat / f"abdomen_{ending.replace('.', '_')}.{ending}"))
    for start in (0, 7):
        sitk.WriteImage(abdomen[:, :, start : start + 12], str(flat / f"part_{start}.nrrd"))
    sitk.WriteImage(sitk.Flip(abdomen, (True, False, True)), str(flat / "turned.mha"))
    for ending in ("nii.gz", "mha", "nrrd"):
        sitk.WriteImage(sarcoma, str(flat / f"sarcoma_{ending.replace('.', '_')}.{ending}"))
    for ending in ("nii.gz", "mha", "nrrd"):
        sitk.WriteImage(drawn, str(flat / f"body_{ending.replace('.', '_')}.{ending}"))
    sitk.WriteImage(sitk.PermuteAxes(drawn, (2, 0, 1)), str(flat / "permuted.nii.gz"))
    shutil.copytree(CROPS / "ct_slab_dicom" / "series", flat / "slab")
    as_series(flat / "body_series", drawn)
    as_series(flat / "part_series", abdomen[:, :, 4:10])


class Folders:
    """A cohort, patients and studies deep, and the label maps that `predict.py` makes of its cases."""

    def __init__(self, place):
        flat, self.source, self.output = place / "flat", place / "in", place / "out"
        self.scratch = place / "scratch"
        self.scratch.mkdir()
        self.bundle = make_bundle(place / "bundle").folder
        write_cases(flat)
        words = ["--input", str(flat), "--output", str(place / "alone"), "--bundle", str(self.bundle)]
        assert predict.main([*words, "--device", "cpu", "--threads", "1"]) == 0
        self.truth = {}
        for number, path in enumerate(sorted(p for p in flat.iterdir() if p.suffix != ".raw")):
            study = f"p{number % 7}/s{number}"
            (self.source / study).mkdir(parents=True)
            name = path.name if path.is_dir() else path.name.partition(".")[0]
            for each in flat.glob(f"{name}*") if path.suffix == ".mhd" else [path]:
                shutil.move(each, self.source / study / each.name)
            self.truth[f"{study}/{name}"] = (place / "alone" / f"{name}.nii.gz").read_bytes()
        assert len(self.truth) == 18
        (self.source / "broken.nii.gz").write_bytes(b"no image")
        deadly = sitk.GetImageFromArray(np.zeros(DEADLY_ZYX, np.int16))
        sitk.WriteImage(deadly, str(self.source / "p3" / "deadly.nii.gz"))

    def words(self, address, *further):
        given = ("--input", self.source, "--output", self.output, "--bundle", self.bundle)
        room = ("--workers", 2, "--cpus-per-worker", 1, "--host-memory-mb", 1500, "--device", "cpu")
        program = (sys.executable, "-m", "tests.inference.cohort.cluster.deadly_program")
        return [*map(str, (*program, *given, *room, "--address", address)), *further]

    def outcomes(self):
        """Case to its outcome as it stands; every one is whole."""
        paths = {
            path.relative_to(self.output).as_posix().removesuffix(".outcome.json"): path
            for path in self.output.rglob("*.outcome.json")
        }
        texts = {case: path.read_text(encoding="utf-8") for case, path in paths.items()}
        assert all(json.loads(text)["case"] == case for case, text in texts.items())
        return texts

    def check_label_maps(self):
        """Those that are there are whole, and `predict.py`'s."""
        for path in self.output.rglob("*.nii.gz"):
            case = path.relative_to(self.output).as_posix().removesuffix(".nii.gz")
            assert path.read_bytes() == self.truth[case], case

    def unfinished(self):
        """Unfinished files of the output."""
        return [path for path in self.output.rglob(".*") if not path.is_dir()]

    def scratch_folders(self):
        """Those of workers that the next one would not sweep, half a minute after a run at most."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            sweep_scratch()
            if not (left := [*self.scratch.glob(f"{PREFIX}*")]):
                break
            time.sleep(0.5)  # Ray's last processes may still be on their way out.
        return left


def workers_of(driver):
    """Processes in which a driver's workers live: its own, or those of the Ray that it started."""
    try:
        children = psutil.Process(driver.pid).children(recursive=True)
        named = [(child, " ".join(child.cmdline())) for child in children]
    except psutil.Error:
        return []
    return [child for child, line in named if "spawn_main" in line or line.startswith("ray::Worker")]


def strike(driver, chance):
    """Send a signal to the driver, or to one of its workers if it has any at the moment."""
    workers = workers_of(driver)
    target = chance.choice([driver, *workers])
    try:
        target.send_signal(chance.choice(SIGNALS))
    except psutil.NoSuchProcess:
        return


def wait_for_outcomes(folders, driver, number):
    while driver.poll() is None and len(list(folders.output.rglob("*.outcome.json"))) < number:
        time.sleep(0.05)  # Nobody but the files tells how far another process is.


@pytest.mark.parametrize(("address", "seed"), [("none", 1), ("none", 2), ("local", 3)])
def test_whoever_is_killed_at_whatever_moment(address, seed, tmp_path, monkeypatch):
    if address != "none":
        pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements/cohort.txt")
    folders, chance = Folders(tmp_path), random.Random(seed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folders.scratch)}
    environment["RAY_TMPDIR"] = tempfile.gettempdir()  # The names of its sockets must be short.
    struck, lives, recorded = 0, count(), {}
    while struck < STRIKES:
        words = folders.words(address, *(["--resume"] if next(lives) else []))
        with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as driver:
            while driver.poll() is None and struck < STRIKES:
                done = len(folders.outcomes())
                wait_for_outcomes(folders, driver, done + chance.randint(0, 3))
                time.sleep(chance.uniform(0, 1))
                strike(driver, chance)
                struck += 1
            driver.kill()
        now = folders.outcomes()
        assert {case: now[case] for case in recorded} == recorded, "nothing is done twice"
        recorded = now
        folders.check_label_maps()
    last = folders.words(address, "--resume", "--retry-failed")
    ended = subprocess.run(
        last, cwd=ROOT, env=environment, check=False, capture_output=True, encoding="utf-8"
    )
    assert ended.returncode == 1, ended.stderr
    now = folders.outcomes()
    for case, text in recorded.items():
        assert now[case] == text or json.loads(text)["status"] == "failed"
    with (folders.output / "outcomes.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows.keys() == now.keys() == folders.truth.keys() | {"broken", "p3/deadly"}
    failed = {case: row["reason"] for case, row in rows.items() if row["status"] == "failed"}
    assert failed.keys() == {"broken", "p3/deadly"}
    assert "holds no whole NIfTI header" in failed["broken"]
    assert "killed its worker 2 times" in failed["p3/deadly"]
    assert {path.name for path in folders.output.rglob("*.nii.gz")} == {
        f"{Path(case).name}.nii.gz" for case in folders.truth
    }
    folders.check_label_maps()
    assert folders.unfinished() == []
    monkeypatch.setattr(tempfile, "tempdir", str(folders.scratch))
    assert folders.scratch_folders() == []
