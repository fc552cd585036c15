"""Hundreds of hostile images through the entry point: each ends in one line, and nothing else is written."""

import json
import re
import sys
from collections import Counter

import pytest

from tests.end_to_end.calls import run
from tests.hostile.hostile_images import NAMES, write_images
from tests.inference.bundles import make_bundle
from tests.places import ROOT

MOST_MB = 1000
"""Of memory for all of them, one after another."""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The call's code and lines, its report, and the folder in which all happened."""
    bench = tmp_path_factory.mktemp("hostile")
    (bench / "inputs").mkdir()
    write_images(bench / "inputs")
    bundle = make_bundle(bench / "bundle").folder
    before = sorted(path.name for path in bench.iterdir())
    command = [sys.executable, str(ROOT / "predict.py"), "--bundle", str(bundle), "--report", "outputs.json"]
    code, out, err = run([*command, "--threads", "1"], bench, errors="surrogateescape")
    assert sorted(path.name for path in bench.iterdir()) == sorted([*before, "outputs", "outputs.json"])
    report = json.loads((bench / "outputs.json").read_text(encoding="utf-8"))
    return code, out.splitlines(), err.splitlines(), report, bench


def test_every_image_has_one_fate(done):
    code, out, err, report, _bench = done
    fates = Counter(case["status"] for case in report["cases"])
    assert code == 1
    assert set(fates) == {"segmented", "failed"}
    assert len(report["cases"]) > 300
    assert len([line for line in err if line.startswith("error: ")]) == fates["failed"]
    assert len(out) == fates["segmented"] + 1
    assert all(line.startswith(("error: ", "warning: ")) for line in err)


def test_no_fate_is_a_fault_of_the_program(done):
    _, _, err, _, _ = done
    assert [line for line in err if "fault of the program" in line or "Traceback" in line] == []


def test_whole_results_and_nothing_else(done):
    _, _, _, report, bench = done
    written = sorted(path.name for path in (bench / "outputs").iterdir())
    told = [case for case in report["cases"] if case["status"] == "segmented"]
    assert len(written) == len(told)
    assert all(name.endswith(".nii.gz") for name in written)
    assert not list(bench.rglob("pwned"))


def test_sound_images_of_any_name_have_a_result(done):
    _, _, _, report, _ = done
    failed = {case["input"]: case["error"] for case in report["cases"] if case["status"] == "failed"}
    named = [name for name in NAMES if isinstance(name, str)]
    refused = [name for name in named if any(path.endswith("/" + name) for path in failed)]
    assert refused == []


def test_terminals_and_report_see_no_control_characters(done):
    _, out, err, report, _ = done
    control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
    assert [line for line in (*out, *err) if control.search(line)] == []
    text = [str(value) for case in report["cases"] for value in case.values()]
    assert [value for value in text if control.search(value)] == []


def test_memory_stays_small(done):
    _, _, _, report, _ = done
    assert report["host_peak_mb"] < MOST_MB


def test_no_image_was_touched(done, tmp_path):
    _, _, _, _, bench = done
    (tmp_path / "again").mkdir()
    write_images(tmp_path / "again")
    regular = {name for name in listing_of_files(bench / "inputs")}
    assert regular == set(listing_of_files(tmp_path / "again"))


def listing_of_files(folder):
    """Hashes of what lies in a folder itself, links and special files apart."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()
    }
