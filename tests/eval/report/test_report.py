import base64
import gzip
import json
import re

import numpy as np
import pytest

from eval.__main__ import main
from eval.report.case_script import _averaged, _thinned
from eval.report.page import atomic_folder
from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.columns import score_columns
from eval.scoring.structure_scores import Metric
from tests.eval.made import disturbed, organs, write

CHALLENGE = CHALLENGES["flare22"]
COLUMNS = score_columns(CHALLENGE, (Metric.DSC, Metric.NSD), Rules.STRICT)


def scores(path, rows, columns=COLUMNS):
    lines = ["Name," + ",".join(columns) + ",Error"]
    lines += [f"{name},{','.join(str(value) for value in values)},{error}" for name, values, error in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def cohort(tmp_path):
    """Three cases, of which one, in error, has no prediction."""
    generator = np.random.default_rng(3)
    for name in ("a", "b"):
        truth = organs(generator, 13)
        write(tmp_path / "truth" / f"{name}.nii.gz", truth)
        write(tmp_path / "pred" / f"{name}.nii.gz", disturbed(generator, truth))
        write(tmp_path / "images" / f"{name}_0000.nii.gz", (truth * 15).astype(np.int16))
    write(tmp_path / "truth" / "c<&.nii.gz", truth)
    write(tmp_path / "images" / "c<&_0000.nii.gz", (truth * 15).astype(np.int16))
    rows = [
        ("a.nii.gz", [0.9] * 26, ""),
        ("b.nii.gz", [0.8] * 25 + [""], ""),
        ("c<&.nii.gz", [0.0] * 26, "missing: no </script> here"),
    ]
    scores(tmp_path / "scores.csv", rows)
    return tmp_path


def report(folder, *more, scores="scores.csv", jobs=1):
    return main(
        [
            "report",
            "--scores",
            str(folder / scores),
            "--output",
            str(folder / "report"),
            "--jobs",
            str(jobs),
            *map(str, more),
        ]
    )


def data_of(folder):
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    return page, json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_report_holds_its_cases(cohort, jobs):
    folders = [part for name in ("images", "pred", "truth") for part in (f"--{name}", cohort / name)]
    assert report(cohort, *folders, jobs=jobs) == 0
    page, data = data_of(cohort)
    assert [case["stem"] for case in data["cases"]] == ["a", "b", "c<&"]
    assert [case["organ_DSC"] for case in data["cases"]] == [0.9, 0.8, 0.0]
    assert data["cases"][1]["values"]["NSD"][-1] is None
    assert [case["volume"] for case in data["cases"]] == ["0001", "0002", "0003"]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    script = (cohort / "report" / "cases" / "0001.js").read_text(encoding="utf-8")
    case = json.loads(script[len("LeanSeg.receive(") : script.rindex(")")])
    assert case["size"][2] == 20
    assert case["truth"]
    assert case["prediction"]


def test_lesions_are_marked_where_they_lie(tmp_path):
    """A missed lesion of 2 × 2 × 2 voxels from (z, y, x) = (4, 6, 8) on, in a map stored upside down."""
    truth = np.zeros((20, 26, 28), np.uint8)
    truth[2:18, 2:24, 2:26] = 1
    truth[4:6, 6:8, 8:10] = 14
    up = {"direction": (1, 0, 0, 0, -1, 0, 0, 0, -1)}
    write(tmp_path / "truth" / "a.nii.gz", truth, (1.0, 1.0, 1.0), **up)
    write(tmp_path / "pred" / "a.nii.gz", np.where(truth == 14, 1, truth), (1.0, 1.0, 1.0), **up)
    words = ["--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth")]
    scored = [
        *words,
        "--labels",
        "flare23",
        "--lesions",
        "--jobs",
        "1",
        "--output",
        str(tmp_path / "scores.csv"),
    ]
    assert main(["score", *scored]) == 0
    assert report(tmp_path, *words, "--detail-mm", "1") == 0
    script = (tmp_path / "report" / "cases" / "0001.js").read_text(encoding="ascii")
    case = json.loads(script[len("LeanSeg.receive(") : script.rindex(")")])
    (lesion,) = case["lesions"]
    assert (lesion["kind"], lesion["structure"], lesion["ml"]) == ("missed", "tumor", 0.01)
    voxels = np.frombuffer(gzip.decompress(base64.b64decode(case["truth"])), np.uint8)
    z, y, x = (places.mean() for places in np.nonzero(voxels.reshape(case["size"][::-1]) == 14))
    assert lesion["at"] == [x, y, z]


def test_how_a_container_ended_is_told_with_the_case(cohort):
    times = [
        "Name,Time,MaxGPU_Mem,Status,Remark,OwnRAM_Max_MB",
        "a.nii.gz,12,,ok,,480",
        "b.nii.gz,3600,,timeout,stopped after 20 s,",
    ]
    (cohort / "times.csv").write_text("\n".join([*times, "c<&.nii.gz,9,,out of memory,,8192"]) + "\n")
    assert report(cohort, "--efficiency", cohort / "times.csv") == 0
    cases = data_of(cohort)[1]["cases"]
    assert [case["error"] for case in cases] == [
        "",
        "timeout: stopped after 20 s",
        "missing: no </script> here; out of memory",
    ]
    assert [case["efficiency"]["OwnRAM_Max_MB"] for case in cases] == [480, None, 8192]


def test_nothing_is_replaced_unless_asked(cohort, capsys):
    assert report(cohort) == 0
    assert report(cohort) == 2
    assert "--force" in capsys.readouterr().err
    assert report(cohort, "--force") == 0
    (cohort / "report" / "index.html").write_text("something else")
    assert report(cohort, "--force") == 2
    assert "no report of this program" in capsys.readouterr().err
    assert (cohort / "report" / "index.html").read_text(encoding="utf-8") == "something else"
    assert not list(cohort.glob(".report-*"))


def test_wrong_input_gives_one_line_and_2(cohort, capsys):
    (cohort / "other.csv").write_text("Name,Height\na,1\n")
    for more, words in (
        (("--images", cohort / "none"), "no such folder"),
        (("--efficiency", cohort / "other.csv"), "efficiency table"),
        (("--compare", cohort / "other.csv"), "score table"),
        (("--detail-mm", "0"), "--detail-mm is 0"),
    ):
        assert report(cohort, *more) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
        assert not (cohort / "report").exists()


def test_a_case_that_cannot_be_shown_is_named(cohort, capsys):
    write(cohort / "pred" / "b.nii.gz", np.full((20, 26, 28), 99, np.uint8))
    assert report(cohort, "--pred", cohort / "pred") == 1
    assert "b.nii.gz: not shown" in capsys.readouterr().err
    assert [bool(case.get("volume")) for case in data_of(cohort)[1]["cases"]] == [True, False, False]


def test_a_failure_leaves_the_former_folder(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "kept").touch()

    def fail():
        with atomic_folder(tmp_path / "report"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["report", "kept"]


def test_blocks_are_averaged_and_thinned_alike():
    voxels = np.arange(5, dtype=np.float32).reshape(1, 1, 5)
    assert _averaged(voxels, (1, 1, 2)).ravel().tolist() == [0.5, 2.5, 4.0]
    assert _thinned(voxels.astype(np.uint8), (1, 1, 2)).ravel().tolist() == [1, 3, 4]
