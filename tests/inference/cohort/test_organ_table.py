"""The table of organs: one row each, as CSV and JSON; and the end of the line that a case prints."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.cohort.cases import Case
from inference.cohort.organ_table import check_tables, table_paths, write_tables
from inference.cohort.outcome import Outcome, findings
from inference.errors import OutputError, UsageError
from inference.trust.organ_figures import OrganFigures, ValueFigures

LIVER = OrganFigures(
    name="liver",
    label=1,
    volume_ml=1438.1234,
    extent_zyx_mm=(180.0, 150.04, 152.06),
    centre_zyx_mm=(0.0, 0.0, 0.0),
    touches_edge=True,
    touches_end=False,
    agreement=0.98765,
    values=ValueFigures(mean=99.54, sd=24.81),
)
CRUMB = replace(LIVER, name="spleen", label=3, volume_ml=0.02, crumb=True, touches_edge=False)
WHOLE = replace(LIVER, touches_edge=False)
PART = replace(CRUMB, name="aorta", label=5, touches_edge=True)
TUMOR = replace(LIVER, name="tumor", label=14, volume_ml=0.02)
DOUBT = "liver in 2 large pieces"


def outcome(name="a", status="segmented", **changes):
    return Outcome(case=Case(path=Path(name), output_name=f"{name}.nii.gz"), status=status, **changes)


@pytest.mark.parametrize("given", ["volumes", "volumes.csv", "volumes.json", "volumes.CSV"])
def test_both_are_written_whatever_the_ending(given):
    assert table_paths(Path("out") / given) == (Path("out/volumes.csv"), Path("out/volumes.json"))


def test_a_dot_in_the_name_is_no_ending():
    assert table_paths(Path("v1.2"))[0] == Path("v1.2.csv")


def test_one_row_for_each_organ_and_every_case_in_the_json(tmp_path):
    cases = [outcome(organs=(LIVER,), doubts=(DOUBT,)), outcome("b", "failed", error="is empty")]
    write_tables(tmp_path / "volumes.csv", cases, "hu")
    with (tmp_path / "volumes.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "case": "a", "organ": "liver", "label": "1", "volume_ml": "1438.123", "touches_edge": "True",
        "crumb": "False", "pieces": "1", "agreement": "0.988", "mean_hu": "99.5", "sd_hu": "24.8",
        "extent_z_mm": "180.0", "extent_y_mm": "150.0", "extent_x_mm": "152.1",
    }  # fmt: skip
    segmented, failed = json.loads((tmp_path / "volumes.json").read_text(encoding="utf-8"))["cases"]
    assert segmented["case"] == "a"
    assert segmented["doubts"] == [DOUBT]
    assert segmented["organs"][0]["extent_zyx_mm"] == [180.0, 150.0, 152.1]
    assert (failed["case"], failed["status"], failed["organs"]) == ("b", "failed", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volumes.csv", "volumes.json"]


def test_no_case_at_all_is_a_table_too(tmp_path):
    write_tables(tmp_path / "v", [], "hu")
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8")) == {"cases": []}


def test_values_of_what_is_no_ct_have_no_unit(tmp_path):
    write_tables(tmp_path / "v", [outcome(organs=(LIVER,))], "")
    assert "mean,sd," in (tmp_path / "v.csv").read_text(encoding="utf-8").splitlines()[0]


def test_nothing_found_is_a_table_without_rows(tmp_path):
    write_tables(tmp_path / "v", [outcome()], "hu")
    (heads,) = (tmp_path / "v.csv").read_text(encoding="utf-8").splitlines()
    assert heads.startswith("case,organ,label,volume_ml,")


@pytest.mark.parametrize("name", ["=1+1", "+a", "-1+1", "@SUM"])
def test_no_name_is_a_formula(name, tmp_path):
    write_tables(tmp_path / "v", [outcome(name, organs=(LIVER,))], "hu")
    assert (tmp_path / "v.csv").read_text(encoding="utf-8").splitlines()[1].startswith(f"'{name},")


def test_no_organ_is_a_formula(tmp_path):
    liver = replace(LIVER, name='=HYPERLINK("http://a")')
    write_tables(tmp_path / "v", [outcome(organs=(liver,))], "hu")
    _, row = csv.reader((tmp_path / "v.csv").read_text(encoding="utf-8").splitlines())
    assert row[:3] == ["a", '\'=HYPERLINK("http://a")', "1"]


@pytest.mark.parametrize(("path", "error"), [("nowhere/v.csv", OutputError), (".csv", UsageError)])
def test_tables_that_cannot_be_written_are_refused_before_anything_runs(path, error, tmp_path):
    with pytest.raises(error, match="--statistics"):
        check_tables(tmp_path / path)


def test_the_report_is_not_written_over(tmp_path):
    check_tables(tmp_path / "run.csv", tmp_path / "report.json")
    with pytest.raises(UsageError, match=r"run\.json: is written by --statistics too"):
        check_tables(tmp_path / "run.csv", tmp_path / "run.json")


@pytest.mark.parametrize("name", ["phantom.nii.gz", "volumes.xlsx", "scan.mha"])
def test_another_kind_of_file_is_no_table(tmp_path, name):
    with pytest.raises(UsageError, match=f"{name}: must end in .csv or .json"):
        check_tables(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"), [("volumes.json", '{"cases": ["a"], "labels": {}}'), ("volumes.csv", "case,image\n")]
)
def test_a_file_that_is_no_such_table_is_not_written_over(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=f"{name}: is there and not from --statistics"):
        check_tables(tmp_path / "volumes.csv")


def test_earlier_tables_are_written_over(tmp_path):
    for cases in ([], [outcome(organs=(LIVER,))]):
        write_tables(tmp_path / "v", cases, "hu")
        check_tables(tmp_path / "v.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"organs": (LIVER,)}, "1 of 3 organs (no spleen, no aorta; cut off: liver)"),
        ({"organs": (WHOLE,)}, "1 of 3 organs (no spleen, no aorta)"),
        (
            {"organs": (WHOLE,), "doubts": (DOUBT,)},
            "DOUBTFUL, see the warning; 1 of 3 organs (no spleen, no aorta)",
        ),
        ({}, "0 of 3 organs (no liver, no spleen, no aorta)"),
        ({"is_noise": True}, "organs not counted, see the warning"),
        (
            {"is_noise": True, "doubts": (DOUBT,)},
            "DOUBTFUL, see the warning; organs not counted",
        ),
        ({"organs": (WHOLE, CRUMB)}, "1 of 3 organs (no aorta; mere crumbs of spleen)"),
        (
            {"organs": (WHOLE, CRUMB, PART)},
            "1 of 3 organs (mere crumbs of spleen; traces of aorta at the scan's edge)",
        ),
        ({"organs": (WHOLE, TUMOR)}, "1 of 3 organs (no spleen, no aorta), possible tumor < 0.1 mL"),
        (
            {"organs": (LIVER, replace(PART, crumb=False), TUMOR)},
            "2 of 3 organs (no spleen; cut off: liver), possible tumor < 0.1 mL",
        ),
    ],
)
def test_what_a_person_wants_to_know(changes, said):
    assert findings(outcome(**changes), ("liver", "spleen", "aorta")).startswith(said)
