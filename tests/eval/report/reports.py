"""Reports for the tests: tables to make them from, and what is in them."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from eval.files import write_csv
from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.columns import column
from eval.scoring.structure_scores import Metric
from tests.eval.command_line import call

ALL_METRICS = tuple(Metric)


def write_scores(
    path: Path, cases: dict[str, dict[str, float | str]], challenge="flare21", metrics=ALL_METRICS
):
    """A score table: for each case the values of some columns, the others 0.5; `Error` among them."""
    found = CHALLENGES[challenge]
    headers = [column(found, name, metric, Rules.STRICT) for metric in metrics for name in found.labels.names]
    rows = []
    for name, given in cases.items():
        cells = {header: str(given.get(header, 0.5)) for header in headers}
        rows.append({"Name": name, "Error": str(given.get("Error", "")), **cells})
    write_csv(path, ["Name", *headers, "Error"], rows)
    return path


def report(folder: Path, *more: object, scores: str = "scores.csv", output: str = "report") -> int:
    """Exit code of the command in a folder."""
    paths = ("--scores", folder / scores, "--output", folder / output)
    return call("report", *paths, "--jobs", 1, *more)


def data_in(folder: Path) -> dict[str, Any]:
    """The values that a report's page holds."""
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found, "the page holds its data"
    return json.loads(found[1])


def case_in(folder: Path, key: str) -> dict[str, Any]:
    """What a case's script hands to the page."""
    script = (folder / "report" / "cases" / f"{key}.js").read_text(encoding="ascii")
    assert script.startswith("LeanSeg.receive(")
    assert script.endswith(");\n")
    return json.loads(script[len("LeanSeg.receive(") : -len(");\n")])


def voxels(case: dict, name: str) -> np.ndarray | None:
    """A volume of a script, (z, y, x)."""
    if case[name] is None:
        return None
    data = gzip.decompress(base64.b64decode(case[name]))
    return np.frombuffer(data, np.uint8).reshape(case["size"][::-1])
