"""Method A, tiny: partial labels → plan → bundle → `predict.py` → `eval score`, and killed on the way."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

import predict
from eval.__main__ import main as judge
from model.bundle import load_bundle
from tests.inference.bundles import hu
from tests.places import ROOT
from tests.training.plans.made_plans import ORDER, write_plan
from tests.training.pseudo_labels.abdomens import IDS, LABELS, truth, write_partial
from tests.training.tiny import DOCUMENT, write_case

pytestmark = pytest.mark.slow

RECIPE = {**DOCUMENT, "label_set": "data", "channels": "merged", "checkpoint_every_steps": 2}
KILLED_AT = (
    "first/last.safetensors#2",
    "teacher#1",
    "steps/teacher.json#2",
    "found/few.nii.gz#1",
    "labelsTr/one.nii.gz#1",
    "filled#1",
    "second/last.safetensors#4",
    "bundle#1",
)
"""What is about to appear under its name when everything is killed, and which time: a checkpoint, a bundle, a
note, a label map of the engine, one that is filled in, a data set. All in one folder, in turn."""
KILLER = """
import os, signal, sys

os.environ.setdefault("PLAN_PID", str(os.getpid()))
place, _, number = os.environ["KILL_AT"].partition("#")
seen = []

def hook(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("/" + place):
        seen.append(place)
        if len(seen) == int(number):
            os.kill(int(os.environ["PLAN_PID"]), signal.SIGKILL)
            os.killpg(0, signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A plan, complete cases, partially labelled ones, and one to judge by."""
    folder = tmp_path_factory.mktemp("plans")
    write_plan(folder, recipe=yaml.safe_load(json.dumps(RECIPE)))
    write_partial(folder / "partial")
    for name, cases in (("labelled", ("p", "q")), ("test", ("t",))):
        for number, case in enumerate(cases):
            labels = truth(2 * number)
            write_case(folder / name, case, hu(labels), labels)
        (folder / name / "labels.json").write_text(json.dumps(LABELS))
    return folder


def carry_out(bench, output, kill_at=None):
    inputs = [word for name in ("labelled", "partial") for word in ("--input", f"{name}={bench / name}")]
    words = ["run", str(bench / "plan.yaml"), *inputs, "--output", str(bench / output), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if kill_at is not None:
        (bench / "killer").mkdir(exist_ok=True)
        (bench / "killer/sitecustomize.py").write_text(KILLER)
        environment |= {"PYTHONPATH": str(bench / "killer"), "KILL_AT": kill_at}
    call = [sys.executable, "-m", "training", *words, "--threads", "1"]
    return subprocess.run(
        call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, start_new_session=True
    )


@pytest.fixture(scope="module")
def whole(bench):
    ran = carry_out(bench, "whole")
    assert ran.returncode == 0, ran.stderr
    return bench / "whole"


def labels_of(path):
    return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS"))


def test_tumors_and_given_labels_are_as_given(bench, whole):
    for name in ("all", "few", "one"):
        given = labels_of(bench / f"partial/labelsTr/{name}.nii.gz")
        filled = labels_of(whole / f"filled/labelsTr/{name}.nii.gz")
        assert np.array_equal(filled == IDS["tumor"], given == IDS["tumor"])
        assert np.array_equal(filled[given > 0], given[given > 0])
    few = labels_of(whole / "filled/labelsTr/few.nii.gz")
    liver = labels_of(bench / "partial/labelsTr/few.nii.gz") == IDS["liver"]
    assert np.array_equal(few == IDS["liver"], liver)  # Annotated: not even where the bundle finds more.


def test_the_bundle_segments_and_is_scored(bench, whole):
    output, scores = bench / "labels", bench / "scores.csv"
    words = ["--input", str(bench / "test/imagesTr"), "--output", str(output), "--threads", "1"]
    assert predict.main([*words, "--bundle", str(whole / "bundle")]) == 0
    names = ["--labels", str(bench / "test/labels.json"), "--output", str(scores)]
    assert judge(["score", "--pred", str(output), "--truth", str(bench / "test/labelsTr"), *names]) == 0
    with scores.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert {f"{organ}_DSC" for organ in IDS} <= set(row)
    provenance = load_bundle(whole / "bundle").manifest.provenance
    assert provenance.data == "labelled; partial, organs filled in by teacher"


def made(folder):
    """What a plan made, to the bit; not when, nor how much memory networks took when that was measured."""
    found = {}
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        if path.suffix in (".safetensors", ".onnx", ".gz") or where.startswith("filled/"):
            found[where] = path.read_bytes() if path.is_file() else b""
    for name in ("teacher", "bundle"):
        manifest = json.loads((folder / name / "manifest.json").read_text(encoding="utf-8"))
        for member in manifest["members"]:
            del member["memory_mb"]
        found[f"{name}/manifest.json"] = manifest
    return found


def test_killed_at_any_step_it_ends_in_the_same_bits(bench, whole):
    for place in KILLED_AT:
        ran = carry_out(bench, "cut", place)
        assert ran.returncode == -9, f"{place}: {ran.stderr}"
    last = carry_out(bench, "cut")
    assert last.returncode == 0, last.stderr
    expected, found = made(whole), made(bench / "cut")
    assert sorted(found) == sorted(expected)
    assert [where for where in expected if found[where] != expected[where]] == []
    assert {name.partition("/")[0] for name in expected} == {*ORDER}
