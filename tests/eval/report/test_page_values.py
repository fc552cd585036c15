"""The values in a report's page, worked out from tables of two or three cases."""

import base64
import hashlib
import math
import re

import numpy as np
import pytest

from eval.measuring.trace import GPU, OWN_RAM, QUANTITIES, RAM, TIME, Trace, write_trace
from eval.report.box_plots import box_of, box_plots
from eval.scoring.challenges import CHALLENGES
from eval.scoring.structure_scores import Metric
from eval.scoring.summary import VOLUME_ERROR
from model.colours import COLOURS
from tests.eval.command_line import assert_refused, call, files_in
from tests.eval.report.reports import data_in, report, write_scores

RANKING = (
    "Place,Submission,Score,Rank_Time,Cases,Missing,Place_median,Place_low,Place_high,First_share\n"
    "1,ours,1.2500,1.5000,2,0,1,1,2,0.7500\n2,theirs,1.7500,1.5000,2,0,2,1,2,0.2500\n"
)


SHORT = tuple(CHALLENGES["flare21"].short_names.values())


def data_of(folder, *more):
    assert report(folder, *more) == 0
    return data_in(folder)


def test_a_case_has_its_values_in_the_order_of_structures(tmp_path):
    write_scores(
        tmp_path / "scores.csv",
        {
            "a_0000.nii.gz": {"Liver_DSC": 0.9, "Kidney_DSC": 0.7, "Liver_HD95_mm": "inf", "Spleen_NSD": ""},
            "b.nii.gz": {"Error": "missing: there is none"},
        },
    )
    data = data_of(tmp_path)
    first, second = data["cases"]
    assert (first["name"], first["stem"], first["error"]) == ("a_0000.nii.gz", "a_0000", "")
    assert first["values"]["DSC"] == [0.9, 0.7, 0.5, 0.5]
    assert first["values"]["NSD"] == [0.5, 0.5, None, 0.5]
    assert first["values"]["HD95_mm"] == ["inf", 0.5, 0.5, 0.5]
    assert first["organ_DSC"] == pytest.approx((0.9 + 0.7 + 0.5 + 0.5) / 4)
    assert first["organ_NSD"] == 0.5
    assert first["lesion_DSC"] is None
    assert second["error"] == "missing: there is none"
    assert (first["volume"], first["efficiency"], first["trace"]) == (None, None, None)


@pytest.mark.parametrize("name", CHALLENGES)
def test_structures_come_with_their_names_colours_and_tolerances(tmp_path, name):
    write_scores(tmp_path / "scores.csv", {"a": {}}, name)
    data = data_of(tmp_path)
    challenge = CHALLENGES[name]
    assert data["challenge"] == name
    assert [each["name"] for each in data["structures"]] == list(challenge.labels.names)
    for each in data["structures"]:
        assert each["short"] == challenge.short_names[each["name"]]
        assert each["id"] == challenge.labels.ids[each["name"]]
        assert each["colour"] == COLOURS[each["name"]]
        assert each["tolerance_mm"] == challenge.tolerances_mm[each["name"]]


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ((Metric.DSC, Metric.NSD), ["DSC", "NSD"]),
        ((Metric.DSC, Metric.NSD, Metric.VOLUME_DIFFERENCE), ["DSC", "NSD", "VolumeDifference_ml"]),
        (tuple(Metric), ["DSC", "NSD", "HD95_mm", "HD_mm", "ASSD_mm", "clDice", "VolumeDifference_ml"]),
    ],
)
def test_only_metrics_of_the_table_are_shown(tmp_path, metrics, names):
    write_scores(tmp_path / "scores.csv", {"a": {}}, metrics=metrics)
    data = data_of(tmp_path)
    assert data["metrics"] == names
    assert list(data["cases"][0]["values"]) == names
    sizes = {VOLUME_ERROR} if Metric.VOLUME_DIFFERENCE in metrics else set()
    assert {row["metric"] for row in data["summary"]} == {*names, *sizes}


def test_the_summary_has_null_for_what_there_is_not(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {"Liver_DSC": 0.9, "Kidney_DSC": "", "Liver_HD95_mm": "inf"}})
    rows = {(row["structure"], row["metric"]): row for row in data_of(tmp_path)["summary"]}
    liver = rows["liver", "DSC"]
    assert (liver["cases"], liver["mean"], liver["median"]) == (1, 0.9, 0.9)
    assert (liver["sd"], liver["low"], liver["high"]) == (None, None, None)
    assert (rows["kidney", "DSC"]["cases"], rows["kidney", "DSC"]["mean"]) == (0, None)
    assert rows["liver", "HD95_mm"]["infinite"] == 1
    assert rows["organ mean", "DSC"]["mean"] == pytest.approx((0.9 + 0.5 + 0.5) / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("challenge", "tolerances"),
    [
        ("flare21", {}),
        ("flare22", {"MaxGPU_Mem": 2048.0}),
        ("flare23", {"MaxGPU_Mem": 4096.0, "Time": 15.0}),
        ("amos22", {}),
    ],
)
def test_tolerances_of_efficiency_are_the_challenges(tmp_path, challenge, tolerances):
    write_scores(tmp_path / "scores.csv", {"a": {}}, challenge)
    data = data_of(tmp_path)
    assert data["tolerances"] == tolerances
    assert (data["lesion"] is None) is (challenge != "flare23")


def test_the_lesion_of_a_case_stands_apart(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {"Tumor_DSC": 0.1, "Tumor_NSD": 0.2}}, "flare23")
    (case,) = data_of(tmp_path)["cases"]
    assert (case["organ_DSC"], case["lesion_DSC"], case["lesion_NSD"]) == (0.5, 0.1, 0.2)


def test_efficiency_is_found_by_the_name_of_the_case(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a.nii.gz": {}, "b.nii.gz": {}, "c.nii.gz": {}})
    (tmp_path / "e.csv").write_text(
        "Name,Time,MaxGPU_Mem,Status,Remark,OwnRAM_Max_MB\n"
        "a_0000.nii.gz,12.5,,ok,,480\nb,3600,5000,timeout,stopped after 20 s,\n"
    )
    cases = data_of(tmp_path, "--efficiency", tmp_path / "e.csv")["cases"]
    first, second, third = (case["efficiency"] for case in cases)
    assert (first["Time"], first["MaxGPU_Mem"], first["OwnRAM_Max_MB"]) == (12.5, None, 480)
    assert (second["Time"], second["MaxGPU_Mem"], second["OwnRAM_Max_MB"]) == (3600, 5000, None)
    assert third is None
    assert [case["error"] for case in cases] == ["", "timeout: stopped after 20 s", ""]


def test_where_a_table_comes_from_is_shown_without_the_checksum_of_each_ct(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {}})
    (tmp_path / "e.csv").write_text("Name,Time\na,1\n")
    (tmp_path / "e_run.json").write_text('{"memory": "8g", "ct_sha256": {"a.nii.gz": "0123"}}')
    sources = data_of(tmp_path, "--efficiency", tmp_path / "e.csv")["sources"]
    assert [each["origin"] for each in sources if each["what"] == "efficiency"] == [{"memory": "8g"}]


@pytest.mark.parametrize("samples", [5, 400, 401, 1000, 2345])
def test_curves_are_thinned_but_keep_their_peaks(tmp_path, samples):
    write_scores(tmp_path / "scores.csv", {"a": {}, "b": {}})
    (tmp_path / "e.csv").write_text("Name,Time\na,1\n")
    times = np.arange(samples) * 0.1
    values = {name: np.full(samples, np.nan) for name in QUANTITIES}
    values[RAM] = 1000.0 + np.arange(samples)
    values[GPU] = np.where(np.arange(samples) == samples // 2, 8000.0, 300.0)
    (tmp_path / "e_cases").mkdir()
    write_trace(
        tmp_path / "e_cases" / "a.trace.csv",
        Trace(times_s=times, values=values, duration_s=float(times[-1]) + 0.05),
    )
    first, second = data_of(tmp_path, "--efficiency", tmp_path / "e.csv")["cases"]
    curves = first["trace"]
    assert second["trace"] is None
    assert len({len(curve) for curve in curves.values()}) == 1
    assert len(curves[TIME]) <= 400
    assert samples <= len(curves[TIME]) * -(-samples // 400) < samples + -(-samples // 400)
    assert (max(curves[GPU]), min(curves[GPU])) == (8000.0, 300.0)
    assert curves[RAM] == sorted(curves[RAM])
    assert curves[RAM][-1] == 1000.0 + samples - 1
    assert set(curves[OWN_RAM]) == {None}


def test_a_comparison_is_this_minus_the_other(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {"Liver_DSC": 0.9}, "b": {"Liver_DSC": 0.7}})
    write_scores(tmp_path / "other.csv", {"a": {"Liver_DSC": 0.8}, "b": {"Liver_DSC": 0.7}})
    comparison = data_of(tmp_path, "--compare", tmp_path / "other.csv")["comparison"]
    assert comparison["name"] == "other"
    rows = {(row["structure"], row["metric"]): row for row in comparison["rows"]}
    liver = rows["liver", "DSC"]
    assert (liver["mean_a"], liver["mean_b"], liver["difference"]) == pytest.approx((0.75, 0.8, 0.05))
    assert liver["wilcoxon_p"] is None
    assert rows["spleen", "NSD"]["difference"] == 0.0
    assert comparison["lost"] == []


def test_a_comparison_names_the_cases_in_error_that_count_as_0(tmp_path):
    nothing = {f"{organ}_{kind}": 0 for organ in SHORT for kind in ("DSC", "NSD")}
    write_scores(tmp_path / "scores.csv", {"a": {"Liver_DSC": 0.9}, "b": nothing | {"Error": "missing"}})
    write_scores(tmp_path / "other.csv", {"a": {"Liver_DSC": 0.8}, "b": {"Liver_DSC": 0.7}})
    comparison = data_of(tmp_path, "--compare", tmp_path / "other.csv")["comparison"]
    assert comparison["lost"] == ["this one: 1 of 2 cases in error, counted as 0: b"]


def test_another_table_of_the_same_name_is_called_after_its_folder(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {}})
    (tmp_path / "theirs").mkdir()
    write_scores(tmp_path / "theirs" / "scores.csv", {"a": {}})
    data = data_of(tmp_path, "--compare", tmp_path / "theirs" / "scores.csv")
    assert data["comparison"]["name"] == "theirs"


def test_a_ranking_is_shown_as_it_is_written(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {}})
    (tmp_path / "r.csv").write_text(RANKING)
    rows = data_of(tmp_path, "--ranking", tmp_path / "r.csv")["ranking"]
    assert [(row["Place"], row["Submission"], row["Rank_Time"]) for row in rows] == [
        ("1", "ours", "1.5000"),
        ("2", "theirs", "1.5000"),
    ]


@pytest.mark.parametrize(
    ("more", "title"),
    [
        (("--title", "Ours & <theirs>"), "Ours & <theirs>"),
        (("--title", 'a"b'), 'a"b'),
        (("--title", "@SCRIPT@ @DATA@"), "@SCRIPT@ @DATA@"),
    ],
)
def test_the_title_is_text_whatever_is_in_it(tmp_path, more, title):
    write_scores(tmp_path / "scores.csv", {"</script><b>": {"Error": "<!-- & -->"}})
    data = data_of(tmp_path, *more)
    assert data["title"] == title
    assert data["cases"][0]["name"] == "</script><b>"
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<theirs>" not in page
    assert "<b>" not in page.split('id="data"')[1].split("</script>")[0]
    assert 'content="LeanSeg report"' in page
    assert page.count("<script") == 2
    assert page.count("@DATA@") == 2 * title.count("@DATA@"), "in the title's element and among the data"


def test_the_page_states_a_policy_that_allows_its_own_script_alone(tmp_path):
    """Whether a browser shows it under that policy is tested in `tests/browser`."""
    write_scores(tmp_path / "scores.csv", {"a": {}})
    data_of(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_missed_organs_are_in_the_box_plot_with_their_number(tmp_path):
    distances = {"a": 2.0, "b": 4.0, "c": "inf", "d": "inf"}
    write_scores(tmp_path / "scores.csv", {case: {"Liver_HD95_mm": mm} for case, mm in distances.items()})
    figure = box_plots(data_of(tmp_path, "--plots", "png"), "HD95_mm")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert {"∞", "2 of 4"} <= {text.get_text() for text in axes.texts}
    # 0.5 to 4 mm are drawn to scale; the two without a distance lie 0.15 of that above.
    beyond = 4 + 0.15 * 3.5
    heights = [list(map(float, line.get_ydata())) for line in axes.lines if line.get_marker() == "o"]
    assert heights[0] == [2, 4, beyond, beyond]
    label, whole = axes.yaxis.label.get_window_extent(), figure.bbox
    assert whole.y0 <= label.y0
    assert label.y1 <= whole.y1


def test_quartiles_count_infinite_distances_as_the_largest():
    # Of 1, 2, 3, ∞, ∞ the median is 3 and the upper quartile infinite: the box reaches up to the line.
    box = {"q1": 2, "med": 3, "q3": 9, "whislo": 1, "whishi": 9}
    assert box_of([math.inf, 3, 1, 2, math.inf], beyond=9) == box
    assert set(box_of([math.inf, math.inf], beyond=9).values()) == {9}
    # 20 lies farther from the box than 1.5 times its height, and is an outlier.
    expected = {"q1": 2, "med": 3, "q3": 4, "whislo": 1, "whishi": 4}
    assert box_of([1, 2, 3, 4, 20], beyond=30) == expected


def test_structures_in_neither_map_are_hollow_in_the_box_plot(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {"Liver_DSC": 1, "Liver_HD95_mm": 0}, "b": {}})
    data = data_of(tmp_path)
    data["cases"][0]["held"] = [False, True, True, True]
    (axes,) = box_plots(data, "HD95_mm").axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_fillstyle() for line in dots if 0 in line.get_ydata()] == ["none"]


@pytest.mark.parametrize(("name", "title"), [("scores", "team"), ("cpu image", "cpu image")])
def test_a_table_called_scores_gives_its_folders_name_as_title(tmp_path, name, title):
    (tmp_path / "team").mkdir()
    write_scores(tmp_path / "team" / f"{name}.csv", {"a": {}})
    assert report(tmp_path, scores=f"team/{name}.csv") == 0
    assert data_in(tmp_path)["title"] == title


@pytest.mark.parametrize("kinds", [("png",), ("pdf", "svg")])
def test_box_plots_for_papers(tmp_path, kinds):
    write_scores(
        tmp_path / "scores.csv", {"a": {"Liver_HD95_mm": "inf", "Kidney_DSC": ""}, "b": {"Kidney_DSC": ""}}
    )
    data_of(tmp_path, "--plots", *kinds)
    metrics = tuple(sorted(Metric))
    assert files_in(tmp_path / "report" / "plots") == sorted(f"{m}.{kind}" for m in metrics for kind in kinds)
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for kind in kinds:
        assert (tmp_path / "report" / "plots" / f"DSC.{kind}").read_bytes().startswith(starts[kind])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--scores", "none.csv"), "none.csv: no such file"),
        (("--scores", "height.csv"), "height.csv: "),
        (("--efficiency", "height.csv"), "height.csv: "),
        (("--efficiency", "nameless.csv"), "nameless.csv: "),
        (("--efficiency", "words.csv"), "'long' in column Time"),
        (("--efficiency", "traced.csv"), "a.trace.csv: "),
        (("--ranking", "height.csv"), "height.csv: "),
        (("--ranking", "nobody.csv"), "nobody.csv: "),
        (("--compare", "strangers.csv"), "no case in common"),
        (("--images", "none"), "none: no such folder"),
        (("--images", "empty"), "no file of a case"),
        (("--jobs", "0"), "--jobs is 0"),
        (("--detail-mm", "21"), "--detail-mm is 21"),
        (("--plots", "bmp"), "bmp"),
        (("--output", "none/report"), "no such folder"),
        (("--output", "scores.csv"), "is a file"),
        (("--output", "mine"), "exists already"),
        (("--output", "mine", "--force"), "is no report"),
    ],
)
def test_wrong_calls_leave_no_report(tmp_path, monkeypatch, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    write_scores(tmp_path / "scores.csv", {"a": {}})
    write_scores(tmp_path / "strangers.csv", {"z": {}})
    tables = {
        "height.csv": "Name,Height\na,1\n",
        "nameless.csv": "Time,MaxGPU_Mem\n1,2\n",
        "words.csv": "Name,Time\na,long\n",
        "traced.csv": "Name,Time\na,1\n",
        "traced_cases/a.trace.csv": "Time_s\n1\n",
        "nobody.csv": RANKING.splitlines()[0] + "\n",
        "mine/notes.txt": "mine",
    }
    for folder in ("empty", "mine", "traced_cases"):
        (tmp_path / folder).mkdir()
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    before = files_in(tmp_path)
    words = ("report", "--scores", "scores.csv", "--output", "report", *more)
    assert_refused(capsys, words, said)
    assert files_in(tmp_path) == before


def test_an_empty_folder_of_that_name_is_taken(tmp_path):
    write_scores(tmp_path / "scores.csv", {"a": {}})
    (tmp_path / "report").mkdir()
    assert report(tmp_path) == 0
    assert call("report", "--scores", tmp_path / "scores.csv", "--output", tmp_path / "report") == 2
