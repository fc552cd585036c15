"""`make demo CT=…`: programs that only record their words stand for those that segment and draw."""

import shutil
import subprocess
import sys

import pytest

from tests.places import ROOT

PYTHON = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
words = sys.argv[1:]
if words[0] == "-c":
    os.execv({sys.executable!r}, [{sys.executable!r}, *words])
with open("calls", "a") as calls:
    print(*words, file=calls)
if words[0] == "predict.py":
    folder = Path(words[words.index("--output") + 1])
    names = os.environ["SEGMENTS"].split()
    for name in names:
        (folder / (name + ".nii.gz")).write_text("new")
    failed = {{"input": "/in/bad", "status": "failed"}}
    cases = [failed, *({{"input": "/in/" + name, "status": "segmented"}} for name in names)]
    (folder / "run.json").write_text(json.dumps({{"cases": cases}}))
if words[0] == "predict.py" or "report" in words:
    sys.exit(int(os.environ["CODE"]))  # What could not be segmented is not shown either.
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile, a CT, results of an earlier call and programs that do nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "ct.nii.gz").write_text("ct")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    (tmp_path / "build" / "mine").mkdir(parents=True)
    (tmp_path / "build" / "mine" / "old.nii.gz").write_text("old")
    return tmp_path


def demo(folder, ct, *, segments="ct", code=0):
    """Whether it succeeded, what it said, what is in build/mine, and the calls."""
    done = subprocess.run(
        ["make", "-o", ".venv/.demo", "demo", f"CT={ct}"],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "SEGMENTS": segments, "CODE": str(code)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    left = sorted(path.name for path in (folder / "build" / "mine").iterdir())
    calls = folder / "calls"
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    assert sorted(path.name for path in (folder / "build").iterdir()) == ["mine"]
    return done.returncode == 0, done.stdout + done.stderr, left, lines


def test_results_take_the_place_of_earlier_ones(clone):
    good, said, left, calls = demo(clone, "ct.nii.gz")
    assert (good, left) == (True, ["ct.nii.gz", "run.json"])
    assert "open in a browser: build/mine/report/index.html" in said
    assert [call.split()[:3] for call in calls[1:]] == [["-m", "eval", "report"], ["-m", "eval", "picture"]]


def test_a_ct_among_the_results_is_refused_and_stays(clone):
    (clone / "link.nii.gz").symlink_to(clone / "build" / "mine" / "old.nii.gz")
    for ct in ("build/mine/old.nii.gz", "build/mine", "link.nii.gz"):
        good, said, left, calls = demo(clone, ct)
        assert (good, left, calls) == (False, ["old.nii.gz"], [])
        assert f"error: {ct}: lies in build/mine" in said


@pytest.mark.parametrize(("code", "segments"), [(2, ""), (1, ""), (130, "ct")])
def test_earlier_results_stay_where_there_are_no_new_ones(clone, code, segments):
    good, _, left, calls = demo(clone, "ct.nii.gz", code=code, segments=segments)
    assert (good, left, len(calls)) == (False, ["old.nii.gz"], 1)


def test_a_name_may_begin_with_a_dash(clone):
    (clone / "-dash.nii.gz").write_text("ct")
    good, _, _, calls = demo(clone, "-dash.nii.gz")
    assert good
    assert "--input=-dash.nii.gz" in calls[0]
    assert "--images=-dash.nii.gz --title=-dash.nii.gz" in calls[1]


def test_a_case_that_failed_does_not_keep_the_others_from_being_shown(clone):
    (clone / "cts").mkdir()
    good, said, left, calls = demo(clone, "cts", segments="b", code=1)
    assert (good, left) == (False, ["b.nii.gz", "run.json"])
    assert "open in a browser" in said
    assert calls[2].endswith("--image=/in/b")
