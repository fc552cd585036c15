"""What a run tells: the bar on a terminal, and the report."""

import io
import json
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest

from inference.call import Call
from inference.cohort.asked_files import RUN_REPORT, check_asked_file
from inference.cohort.cases import Case
from inference.cohort.outcome import Outcome
from inference.cohort.progress import Console
from inference.cohort.run_report import write_report
from inference.limits import processors_within_quota
from inference.trust.organ_figures import OrganFigures, ValueFigures
from leanseg.version import VERSION
from tests.inference.images import write_nifti

BUNDLE = SimpleNamespace(manifest=SimpleNamespace(name="fake", ct_channel=0), sha256="0" * 64)
STARTED = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2)))
LIVER = OrganFigures(
    name="liver",
    label=1,
    volume_ml=1400.0,
    extent_zyx_mm=(180.0, 150.0, 152.0),
    centre_zyx_mm=(0.0, 0.0, 0.0),
    touches_edge=False,
    touches_end=False,
    values=ValueFigures(mean=100.04, sd=24.0),
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal_leaves_no_trace():
    out, err = io.StringIO(), Terminal()
    console = Console(out, err)
    console.progress(1, 4, "b.nii.gz")
    assert err.getvalue() == "[#######                       ] 1/4 b.nii.gz"
    console.say("a: done")
    console.progress(4, 4)
    assert out.getvalue() == "a: done\n"
    assert err.getvalue().endswith("\r")


def test_report(bench, tmp_path):
    write_nifti(bench.source / "a_0000.nii.gz")
    (bench.source / "b.nii.gz").write_bytes(b"")
    outcomes, _ = bench.run()
    call = Call(input=bench.source, output=bench.output, bundle=tmp_path)
    write_report(tmp_path / "run.json", call, BUNDLE, outcomes, started=STARTED, seconds=1.5)
    check_asked_file(tmp_path / "run.json", RUN_REPORT)
    report = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert report["bundle"] == {"name": "fake", "sha256": "0" * 64}
    assert (report["program"], report["started"]) == (f"LeanSeg {VERSION}", "2026-03-29T00:30:00+00:00")
    assert report["versions"]["numpy"] == np.__version__
    assert report["versions"]["cc3d"] == version("connected-components-3d")
    assert report["host_peak_mb"] > 10
    good, bad = report["cases"]
    assert (good["status"], good["output"], good["size_zyx"]) == ("segmented", "a.nii.gz", [7, 6, 5])
    assert set(good["seconds"]) == {"read", "networks", "write"}
    assert [name for name, start, end in good["spans_unix_s"] if start <= end] == [
        "read",
        "networks",
        "write",
    ]
    assert good["windows_run"] == 1
    assert good["region"] == [[0, 0, 0], [7, 6, 5]]
    assert (bad["status"], bad["size_zyx"]) == ("failed", None)
    assert "0 bytes" in bad["error"]


@pytest.mark.parametrize(
    ("asked", "backends", "ran"),
    [
        ("auto", ["openvino"], "cpu"),
        ("auto", ["cuda", "openvino", "openvino"], "cuda, cpu"),
        ("cuda:1", ["cuda"], "cuda:1"),
        ("auto", [], None),
    ],
)
def test_the_report_says_what_was_asked_and_what_ran(tmp_path, asked, backends, ran):
    """A GPU that fails may be left for the processor."""
    case = Case(path=tmp_path / "a.nii.gz", output_name="a.nii.gz")
    outcomes = [
        Outcome(case=case, status="segmented", organs=(LIVER,), account={"plan": {"backend": backend}})
        for backend in backends
    ]
    call = Call(input=tmp_path, output=tmp_path, bundle=tmp_path, device=asked)
    write_report(tmp_path / "run.json", call, BUNDLE, outcomes, started=STARTED, seconds=1.5)
    report = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (report["device"], report["asked"]) == (ran, {"device": asked, "threads": None})
    assert report["threads"] == processors_within_quota()
    named = [{"mean_hu": 100.0, "sd_hu": 24.0}] * len(backends)
    assert [
        {key: case["organs"][0].get(key) for key in ("mean_hu", "sd_hu")} for case in report["cases"]
    ] == named
