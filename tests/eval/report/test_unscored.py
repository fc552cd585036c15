"""A page without scores, for images whose truth nobody knows."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from eval.image_files import read_image
from inference.cohort.cluster.fates import Fate
from tests.eval.command_line import assert_refused, call
from tests.eval.made import write
from tests.eval.report.reports import case_in, data_in, voxels
from tests.inference.images import write_series

MM = (3.0, 2.0, 2.0)


def found(folder, *names):
    """Label maps with 3×4×5 voxels of liver and 2×2×2 of spleen; a voxel holds 3·2·2 = 12 mm³."""
    labels = np.zeros((12, 20, 20), np.uint8)
    labels[2:5, 3:7, 4:9] = 1
    labels[6:8, 10:12, 12:14] = 3
    for name in names:
        write(folder / "found" / name, labels, MM)


def test_volumes_stand_where_scores_would(tmp_path):
    found(tmp_path, "a.nii.gz", "b.nii.gz")
    for name in ("a_0000.nii.gz", "b.nii.gz"):
        write(tmp_path / "images" / name, np.full((12, 20, 20), 40, np.int16), MM)
    output = ("--output", tmp_path / "report", "--jobs", 1)
    assert call("report", "--pred", tmp_path / "found", "--images", tmp_path / "images", *output) == 0
    data = data_in(tmp_path)
    assert (data["title"], data["challenge"], data["metrics"]) == ("found", "flare23", [])
    assert [case["stem"] for case in data["cases"]] == ["a", "b"]
    of_name = dict(zip((s["name"] for s in data["structures"]), data["cases"][0]["volumes_ml"], strict=True))
    assert {name: ml for name, ml in of_name.items() if ml} == {"liver": 0.72, "spleen": 0.096}
    assert case_in(tmp_path, "0001")["prediction"]
    assert not (tmp_path / "report" / "tables").exists()


def test_what_may_have_been_missed_far_from_any_label_is_shown_too(tmp_path):
    """24 slices of 3 mm, labels in the first 8 of them alone."""
    labels = np.zeros((24, 20, 20), np.uint8)
    labels[:8, 3:7, 4:9] = 1
    write(tmp_path / "found" / "a.nii.gz", labels, MM)
    assert call("report", "--pred", tmp_path / "found", "--output", tmp_path / "report", "--jobs", 1) == 0
    assert case_in(tmp_path, "0001")["size"][2] == 24


def test_a_case_without_its_image_is_named(tmp_path, capsys):
    found(tmp_path, "a.nii.gz", "b.nii.gz")
    images = tmp_path / "images"
    write(images / "a_0000.nii.gz", np.full((12, 20, 20), 40, np.int16), MM)
    words = ("--pred", tmp_path / "found", "--images", images, "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 1
    assert f"\nb.nii.gz: no image of this name in {images}\n" in capsys.readouterr().err
    assert case_in(tmp_path, "0002")["prediction"]


def test_images_of_other_formats_and_those_that_a_run_was_given_are_found(tmp_path):
    """`p1` is called so after the folder in which its series lies one folder deeper."""
    found(tmp_path, "a.nii.gz", "b.nii.gz", "p1.nii.gz")
    images = tmp_path / "images"
    for name in ("a.mha", "b_0000.nrrd"):
        write(images / name, np.full((12, 20, 20), 40, np.int16), MM)
    write_series(images / "p1" / "s1", [(-100, -80, 40 + 3 * i) for i in range(12)], size=(20, 20))
    told = {"input": str(images / "p1"), "output": "p1.nii.gz", "error": None, "warnings": [], "doubts": []}
    (tmp_path / "run.json").write_text(json.dumps({"cases": [told]}))
    words = ("--pred", tmp_path / "found", "--images", images, "--run", tmp_path / "run.json")
    assert call("report", *words, "--output", tmp_path / "report", "--jobs", 1) == 0
    for key in ("0001", "0002", "0003"):
        assert voxels(case_in(tmp_path, key), "ct").max() > 0


@pytest.mark.parametrize("kind", ["file", "series"])
def test_an_only_cases_ct_may_be_given_itself(tmp_path, kind):
    """Slice i holds i HU, which is the grey (i + 160) / 400 · 255; labels without a CT would lie on 0."""
    found(tmp_path, "mine.nii.gz")
    given = write_series(tmp_path / "series", [(-100, -80, 40 + 3 * i) for i in range(12)], size=(20, 20))
    if kind == "file":
        image = read_image(given)
        given = tmp_path / "scan.nii.gz"
        sitk.WriteImage(image, str(given))
    words = ("--pred", tmp_path / "found", "--images", given, "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 0
    assert set(np.unique(voxels(case_in(tmp_path, "0001"), "ct"))) == set(range(102, 110))


def test_an_only_cases_ct_is_the_one_that_the_run_names_where_the_folder_holds_files_beside_it(tmp_path):
    """As where `predict.py --input scans` found one series below scans/mine and skipped other."""
    found(tmp_path, "mine.nii.gz")
    scan = tmp_path / "scans" / "mine"
    write_series(scan / "series", [(-100, -80, 40 + 3 * i) for i in range(12)], size=(20, 20))
    (tmp_path / "scans" / "README.md").write_text("two scans")
    write(tmp_path / "scans" / "other" / "ct_0000.nii.gz", np.zeros((12, 20, 20), np.int16), MM)
    told = {"input": str(scan), "output": "mine.nii.gz", "error": None, "warnings": [], "doubts": []}
    (tmp_path / "run.json").write_text(json.dumps({"cases": [told]}))
    words = ("--pred", tmp_path / "found", "--images", tmp_path / "scans", "--run", tmp_path / "run.json")
    assert call("report", *words, "--output", tmp_path / "report", "--jobs", 1) == 0
    assert voxels(case_in(tmp_path, "0001"), "ct").max() > 0


def test_doubts_of_the_run_stand_with_their_case(tmp_path):
    found(tmp_path, "a.nii.gz", "b.nii.gz")
    doubted = {"output": "b.nii.gz", "warnings": ["has only 12 slices"], "doubts": ["no left kidney"]}
    good = {"output": "a.nii.gz", "warnings": [], "doubts": []}
    (tmp_path / "run.json").write_text(json.dumps({"cases": [doubted, good]}))
    words = ("--pred", tmp_path / "found", "--run", tmp_path / "run.json", "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 0
    data = data_in(tmp_path)
    assert {case["stem"]: case["doubts"] for case in data["cases"]} == {
        "a": [],
        "b": ["has only 12 slices", "no left kidney"],
    }
    assert (data["maker"], data["labels"]) == ("", "13 abdominal organs and tumor (FLARE23)")


def test_errors_come_first_then_doubts_each_by_name(tmp_path):
    found(tmp_path, *(f"{name}.nii.gz" for name in "abcd"))
    doubts = {"b": ["no liver"], "d": ["no spleen"], "a": [], "c": []}
    cases = [{"output": f"{name}.nii.gz", "warnings": [], "doubts": told} for name, told in doubts.items()]
    failed = {"output": "z.nii.gz", "error": "no header", "warnings": [], "doubts": []}
    run = {"bundle": {"name": "my <b>bundle</b>"}, "cases": [*cases, failed]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    words = ("--pred", tmp_path / "found", "--run", tmp_path / "run.json", "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 0
    data = data_in(tmp_path)
    assert [case["stem"] for case in data["cases"]] == ["z", "b", "d", "a", "c"]
    assert data["maker"] == "my <b>bundle</b>"


def told(organ, **more):
    return {"organ": organ, "touches_edge": False, "crumb": False} | more


def test_crumbs_and_parts_are_counted_as_the_run_counts_them(tmp_path):
    found(tmp_path, "a.nii.gz", "b.nii.gz")
    whole = {"output": "a.nii.gz", "warnings": [], "doubts": [], "organs": [told("liver"), told("spleen")]}
    few = [told("liver", crumb=True), told("spleen", crumb=True, touches_edge=True)]
    (tmp_path / "run.json").write_text(
        json.dumps({"cases": [whole, whole | {"output": "b.nii.gz", "organs": few}]})
    )
    words = ("--pred", tmp_path / "found", "--run", tmp_path / "run.json", "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 0
    first, second = data_in(tmp_path)["cases"]
    assert (first["found"], first["crumbs"], first["parts"]) == ("2 of 13 organs", [], [])
    assert second["found"] == ("0 of 13 organs (mere crumbs of liver; traces of spleen at the scan's edge)")
    assert (second["crumbs"], second["parts"]) == (["liver"], ["spleen"])


def test_what_the_scan_cuts_off_and_possible_lesions_are_told_from_the_label_map(tmp_path):
    """A liver in the first slice, an aorta in the last column, and 2×2×2 voxels of 12 mm³ of a tumor."""
    labels = np.zeros((12, 20, 20), np.uint8)
    labels[0:3, 3:7, 4:9] = 1
    labels[5:7, 3:7, 19] = 5
    labels[6:8, 10:12, 12:14] = 14
    write(tmp_path / "found" / "a.nii.gz", labels, MM)
    assert call("report", "--pred", tmp_path / "found", "--output", tmp_path / "report", "--jobs", 1) == 0
    data = data_in(tmp_path)
    (case,) = data["cases"]
    assert case["found"] == "2 of 13 organs (cut off: liver), possible tumor 0.1 mL"
    assert case["cut"] == ["aorta", "liver"]
    assert [structure["name"] for structure in data["structures"]][-1] == "possible tumor"


@pytest.mark.parametrize(
    ("names", "title", "shown"),
    [
        (("ct.nii.gz",), (), "ct"),
        (("a.nii.gz", "b.nii.gz"), (), "found"),
        (("ct.nii.gz",), ("--title", "x"), "x"),
    ],
)
def test_the_heading_is_the_only_case_or_the_folder(tmp_path, names, title, shown):
    found(tmp_path, *names)
    words = ("--pred", tmp_path / "found", "--output", tmp_path / "report", "--jobs", 1, *title)
    assert call("report", *words) == 0
    assert data_in(tmp_path)["title"] == shown


def test_results_of_a_cohort_are_found_as_it_writes_them(tmp_path):
    """Label maps lie as deep as their images, each with its outcome; a case that failed has no label map."""
    found(tmp_path, "p1/s1/ct.nii.gz", "p1/series.nii.gz", ".hidden/ct.nii.gz")
    write(tmp_path / "scans" / "p1" / "s1" / "ct_0000.nii.gz", np.full((12, 20, 20), 40, np.int16), MM)
    write_series(
        tmp_path / "scans" / "p1" / "series", [(-100, -80, 40 + 3 * i) for i in range(12)], size=(20, 20)
    )
    whole = Fate(
        case="p1/s1/ct", images=(), status="segmented", crumbs=("liver", "spleen"), parts=("spleen",)
    )
    broken = Fate(case="p2/ct", images=(), status="failed", reason="holds no whole header", warnings=("odd",))
    for fate in (whole, broken):
        path = tmp_path / "found" / f"{fate.case}.outcome.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fate.to_json())
    words = ("--pred", tmp_path / "found", "--images", tmp_path / "scans", "--output", tmp_path / "report")
    assert call("report", *words, "--jobs", 1) == 0
    cases = {case["stem"]: case for case in data_in(tmp_path)["cases"]}
    assert list(cases) == ["p2/ct", "p1/s1/ct", "p1/series"]
    assert (cases["p1/s1/ct"]["crumbs"], cases["p1/s1/ct"]["parts"]) == (["liver"], ["spleen"])
    failed = cases["p2/ct"]
    assert (failed["error"], failed["doubts"], failed["volume"]) == ("holds no whole header", ["odd"], None)
    for key in ("0001", "0002"):
        assert voxels(case_in(tmp_path, key), "ct").min() > 0, "both have their CT"


def test_a_map_that_cannot_be_read_is_named_and_the_others_are_shown(tmp_path, capsys):
    found(tmp_path, "a.nii.gz")
    (tmp_path / "found" / "broken.nii.gz").write_bytes(b"no image")
    words = ("--pred", tmp_path / "found", "--output", tmp_path / "report", "--jobs", 1)
    assert call("report", *words) == 1
    assert "broken.nii.gz" in capsys.readouterr().err
    bad, good = data_in(tmp_path)["cases"]
    assert good["volumes_ml"][0] == 0.72
    assert bad["volumes_ml"] is None
    assert "broken.nii.gz" in bad["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "neither --scores nor --pred"),
        (("--pred", "found", "--truth", "found"), "--truth needs --scores"),
        (("--pred", "found", "--efficiency", "times.csv"), "--efficiency needs --scores"),
        (("--pred", "none"), "none: no such folder; give one that holds images or label maps"),
        (("--pred", "found", "--run", "none.json"), "none.json: cannot be read (No such file"),
        (("--pred", "found", "--run", "other.json"), "other.json: is no report of a run"),
        (("--pred", "found", "--run", "text.json"), "text.json: is no report of a run"),
        (("--pred", "empty"), "empty: holds no label map"),
        (("--pred", "odd"), "a.outcome.json: is no outcome of a case"),
    ],
)
def test_wrong_calls_are_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    found(tmp_path, "a.nii.gz")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a.outcome.json").write_text("{}")
    (tmp_path / "text.json").write_text("no JSON")
    (tmp_path / "other.json").write_text('{"cases": [1]}')
    assert_refused(capsys, ("report", "--output", "report", *words), said)
    assert not (tmp_path / "report").exists()
