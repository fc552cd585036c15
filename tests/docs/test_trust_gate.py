"""The tests of a run's report in docs/trust.md, run as they are written there."""

import json
import re
import shutil
import subprocess

import pytest

from tests.places import ROOT

GATES = re.findall(r"^(?:jq -e|python3 -c) .*$", (ROOT / "docs/trust.md").read_text(encoding="utf-8"), re.M)
GOOD = {"input": "a.nii.gz", "status": "segmented", "warnings": [], "doubts": []}


def test_both_ways_are_there():
    assert [gate.split()[0] for gate in GATES] == ["jq", "python3"]


@pytest.mark.parametrize("gate", GATES, ids=["jq", "python"])
@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({}, 0),
        ({"doubts": ["no spleen"]}, 1),
        ({"warnings": ["has only 3 slices from feet to head"]}, 1),
        ({"status": "failed"}, 1),
    ],
    ids=["good", "doubted", "warned of", "failed"],
)
def test_a_gate_stops_at_whatever_was_said(tmp_path, gate, other, code):
    program = gate.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    (tmp_path / "run.json").write_text(json.dumps({"cases": [GOOD, {**GOOD, **other}]}))
    assert subprocess.run(["sh", "-c", gate], cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == code
