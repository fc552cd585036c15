"""What a run tells: the bar on a terminal, and the report."""

import io
import json
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np

from inference.call import Call
from inference.cohort.asked_files import RUN_REPORT, check_asked_file
from inference.cohort.progress import Console
from inference.cohort.run_report import write_report
from tests.inference.images import write_nifti


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
    bundle = SimpleNamespace(manifest=SimpleNamespace(name="fake"), sha256="0" * 64)
    call = Call(input=bench.source, output=bench.output, bundle=tmp_path)
    write_report(tmp_path / "run.json", call, bundle, outcomes, 1.5)
    check_asked_file(tmp_path / "run.json", RUN_REPORT)
    report = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert report["bundle"] == {"name": "fake", "sha256": "0" * 64}
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
