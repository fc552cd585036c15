"""Paired comparisons of a handful of cases, against enumeration and textbook formulas."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from eval.comparing.paired_tests import compare, compare_values, paired_tests
from eval.files import write_csv
from eval.scoring.score_table import read_scores
from eval.scoring.structure_scores import Metric
from tests.eval.command_line import assert_refused, call, columns_of, files_in, rows_of

NAN, INF = math.nan, math.inf
ORGANS = ("Liver", "Kidney", "Spleen", "Pancreas")
FLARE23 = (
    "Liver", "RK", "Spleen", "Pancreas", "Aorta", "IVC", "RAG", "LAG", "Gallbladder", "Esophagus", "Stomach",
    "Duodenum", "LK", "Tumor",
)  # fmt: skip


def scores(path, cases: dict[str, list[float]], organs=ORGANS, hd95: bool = False):
    """A score table with the same values for every metric; NaN becomes an empty cell."""
    kinds = ("DSC", "NSD", *(("HD95_mm",) if hd95 else ()))
    rows = []
    for name, values in cases.items():
        cells = ["" if math.isnan(value) else str(value) for value in values]
        named = {f"{o}_{kind}": c for kind in kinds for o, c in zip(organs, cells, strict=True)}
        rows.append({"Name": name, **named})
    write_csv(path, ["Name", *(f"{organ}_{kind}" for kind in kinds for organ in organs)], rows)
    return path


def volumes(path, liver_ml: list[float]):
    """A score table of FLARE21 with these differences of the liver's volume, 0 for the others, DSC 1."""
    kinds = ("DSC", "NSD", "VolumeDifference_ml")
    columns = [f"{organ}_{kind}" for kind in kinds for organ in ORGANS]
    perfect = {column: "0" if column.endswith("_ml") else "1" for column in columns}
    rows = [
        {"Name": f"{i}", **perfect, "Liver_VolumeDifference_ml": str(ml)} for i, ml in enumerate(liver_ml)
    ]
    write_csv(path, ["Name", *columns], rows)
    return path


def by_structure(first, second, metric=Metric.DSC):
    return {row.structure: row for row in compare(read_scores(first), read_scores(second), [metric])}


def exact_wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p value from all 2^n ways to give the ranks signs."""
    ranks = stats.rankdata(np.abs(differences))
    observed = abs(ranks[differences > 0].sum() - ranks.sum() / 2)
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    return sum(abs(total - ranks.sum() / 2) >= observed - 1e-9 for total in sums) / len(sums)


@pytest.mark.parametrize(
    "differences",
    [
        [1, 2, 3, 4, 5, 6],
        [-1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, -6],
        [1, -2, 3, -4, 5, -6, 7],
        [0.01, -0.02, 0.03, 0.05, 0.08, 0.13, 0.21, 0.34],
    ],
)
def test_wilcoxon_is_the_share_of_sign_patterns_as_extreme(differences):
    found = np.array(differences, float)
    assert paired_tests(found)[0] == pytest.approx(exact_wilcoxon(found))


@pytest.mark.parametrize(("cases", "p"), [(6, 2 / 64), (7, 2 / 128), (10, 2 / 1024)])
def test_better_in_every_case_is_the_least_p_that_so_many_cases_allow(cases, p):
    assert paired_tests(np.arange(1.0, cases + 1))[0] == pytest.approx(p)


@pytest.mark.parametrize("differences", [[1, 2, 3, 4, 5, 6], [0.3, -0.1, 0.2, 0.4, 0.0, 0.1, -0.2]])
def test_the_t_statistic_is_mean_by_standard_error(differences):
    values = np.array(differences, float)
    t = values.mean() / (values.std(ddof=1) / math.sqrt(values.size))
    assert paired_tests(values)[1] == pytest.approx(2 * stats.t.sf(abs(t), values.size - 1))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        (np.zeros(6), (1.0, 1.0)),
        (np.full(6, 1e-12), (1.0, 1.0)),  # rounding, and no difference
        (np.full(6, 0.1), (2 / 64, 0.0)),
        (np.full(6, -0.1), (2 / 64, 0.0)),
    ],
)
def test_differences_without_scatter(differences, expected):
    wilcoxon_p, t_p = paired_tests(differences)
    assert wilcoxon_p == pytest.approx(expected[0])
    assert t_p == expected[1]


@pytest.mark.parametrize(
    ("a", "b", "cases", "mean_a", "mean_b", "difference"),
    [
        ([0.5, 0.7], [0.6, 1.0], 2, 0.6, 0.8, 0.2),
        ([0.5, NAN], [0.6, 1.0], 1, 0.5, 0.6, 0.1),
        ([0.5, 0.7], [0.6, NAN], 1, 0.5, 0.6, 0.1),
        ([0.5, INF], [0.6, 3.0], 1, 0.5, 0.6, 0.1),
        ([NAN, 0.5], [0.5, NAN], 0, NAN, NAN, NAN),
    ],
)
def test_means_are_over_the_cases_that_both_have(a, b, cases, mean_a, mean_b, difference):
    row = compare_values("liver", Metric.DSC, np.array(a), np.array(b))
    assert row.cases == cases
    found = [row.mean_a, row.mean_b, row.difference]
    assert found == pytest.approx([mean_a, mean_b, difference], nan_ok=True)


@pytest.mark.parametrize(("cases", "tested"), [(5, False), (6, True)])
def test_six_cases_are_enough_for_intervals_and_tests(cases, tested):
    a = np.linspace(0.5, 0.6, cases)
    row = compare_values("liver", Metric.DSC, a, a + np.arange(1, cases + 1) / 100)
    figures = (row.low, row.high, row.wilcoxon_p, row.t_p)
    assert [math.isnan(figure) for figure in figures] == [not tested] * 4


def test_turned_around_the_differences_change_their_sign_and_nothing_else(tmp_path):
    generator = np.random.default_rng(9)
    tables = [
        scores(tmp_path / name, {f"{i}": np.round(generator.uniform(0, 1, 4), 4) for i in range(8)})
        for name in ("a.csv", "b.csv")
    ]
    there, back = by_structure(*tables), by_structure(*tables[::-1])
    for name, row in there.items():
        assert back[name].difference == pytest.approx(-row.difference)
        assert (back[name].low, back[name].high) == (pytest.approx(-row.high), pytest.approx(-row.low))
        assert back[name].wilcoxon_p == pytest.approx(row.wilcoxon_p)
        assert back[name].t_p == pytest.approx(row.t_p)


def test_the_organ_mean_leaves_the_lesion_out_and_is_not_corrected(tmp_path):
    # The 13 organs gain 0.1, the tumor loses 0.5.
    a = {f"case{i}": [0.5 + i / 100] * 13 + [0.9] for i in range(7)}
    b = {name: [value + 0.1 for value in values[:13]] + [0.4] for name, values in a.items()}
    rows = by_structure(scores(tmp_path / "a.csv", a, FLARE23), scores(tmp_path / "b.csv", b, FLARE23))
    assert rows["organ mean"].difference == pytest.approx(0.1)
    assert rows["tumor"].difference == pytest.approx(-0.5)
    assert math.isnan(rows["organ mean"].t_holm_p)
    assert rows["liver"].wilcoxon_holm_p == pytest.approx(min(1.0, 14 * rows["liver"].wilcoxon_p))


def test_an_organ_that_one_table_lacks_in_a_case_is_left_out_of_that_cases_mean(tmp_path):
    a = scores(tmp_path / "a.csv", {"x": [0.2, 0.4, 0.6, 0.8], "y": [0.5] * 4})
    b = scores(tmp_path / "b.csv", {"x": [0.3, NAN, 0.7, 0.9], "y": [0.7] * 4})
    row = by_structure(a, b)["organ mean"]
    # Case x: liver, spleen and pancreas gain 0.1 each; case y gains 0.2.
    assert row.difference == pytest.approx(0.15)
    assert row.mean_a == pytest.approx(((0.2 + 0.6 + 0.8) / 3 + 0.5) / 2)


def distances(path, cases: dict[str, tuple[float, float]], diagonal_mm: float | None):
    """A score table in which liver and spleen have the given HD95, and all else is alike."""
    columns = ["Name", *(f"{organ}_{kind}" for kind in ("DSC", "NSD", "HD95_mm") for organ in ORGANS)]
    columns += ["Diagonal_mm"] if diagonal_mm else []
    rows = [
        {
            **dict.fromkeys(columns, "1"),
            "Name": name,
            "Liver_HD95_mm": str(liver),
            "Spleen_HD95_mm": str(spleen),
        }
        | ({"Diagonal_mm": str(diagonal_mm)} if diagonal_mm else {})
        for name, (liver, spleen) in cases.items()
    ]
    write_csv(path, columns, rows)
    return path


def test_a_missed_organ_counts_as_the_diagonal_and_never_looks_better(tmp_path, capsys):
    """A is 10 mm off in both cases; B is exact in `x`, and misses the liver in `y`: (0 + 100) / 2."""
    a = distances(tmp_path / "a.csv", {"x": (10, 1), "y": (10, INF)}, None)
    b = distances(tmp_path / "b.csv", {"x": (0, 1), "y": (INF, INF)}, 100.0)
    assert call("compare", a, b, "--metrics", "HD95_mm", "--output", tmp_path / "c.csv") == 0
    rows = {row["Structure"]: row for row in rows_of(tmp_path / "c.csv")}
    assert [rows["liver"][name] for name in ("Cases", "Mean_A", "Mean_B", "Difference")] == [
        "2", "10", "50", "40",
    ]  # fmt: skip
    # Where both miss the spleen, they do not differ.
    assert [rows["spleen"][name] for name in ("Cases", "Mean_A", "Mean_B")] == ["2", "50.5", "50.5"]
    # A quarter each, since there are four organs: −10 mm in x, +90 in y.
    assert (rows["organ mean"]["Cases"], rows["organ mean"]["Difference"]) == ("2", "10")
    assert [rows[name]["Infinite"] for name in ("liver", "spleen", "organ mean")] == ["1", "1", "2"]
    assert "pairs with an infinite distance: 2 counted as the image's diagonal" in capsys.readouterr().out


def test_where_no_table_says_the_diagonal_what_is_left_out_is_counted(tmp_path, capsys):
    a = distances(tmp_path / "a.csv", {"x": (10, 1), "y": (10, INF)}, None)
    b = distances(tmp_path / "b.csv", {"x": (0, 1), "y": (INF, INF)}, None)
    assert call("compare", a, b, "--metrics", "HD95_mm", "DSC", "--output", tmp_path / "c.csv") == 0
    rows = {row["Structure"]: row for row in rows_of(tmp_path / "c.csv") if row["Metric"] == "HD95_mm"}
    assert [rows["liver"][name] for name in ("Cases", "Difference", "Infinite_left_out")] == ["1", "-10", "1"]
    assert rows["organ mean"]["Infinite_left_out"] == "2"
    out = capsys.readouterr().out
    assert out.count("pairs with an infinite distance: 2 left out, no table says the diagonal") == 1


def test_the_written_table_by_hand(tmp_path, capsys):
    a = scores(tmp_path / "a.csv", {"x": [0.5, 0.5, 0.5, NAN], "y": [0.7, 0.5, 0.5, NAN]}, hd95=True)
    b = scores(tmp_path / "b.csv", {"y": [0.8, 0.5, 0.5, 0.1], "x": [0.5, 0.5, 0.5, 0.1]}, hd95=True)
    assert call("compare", a, b, "--metrics", "HD95_mm", "--output", tmp_path / "c.csv") == 0
    rows = {row["Structure"]: row for row in rows_of(tmp_path / "c.csv")}
    assert list(rows) == ["liver", "kidney", "spleen", "pancreas", "organ mean"]
    assert {row["Metric"] for row in rows.values()} == {"HD95_mm"}
    liver = {name: rows["liver"][name] for name in columns_of(tmp_path / "c.csv")[2:8]}
    assert liver == {
        "Cases": "2", "Mean_A": "0.6", "Mean_B": "0.65", "Difference": "0.05", "CI95_low": "",
        "CI95_high": "",
    }  # fmt: skip
    assert rows["pancreas"]["Cases"] == "0"
    assert {rows["pancreas"][name] for name in columns_of(tmp_path / "c.csv")[3:12]} == {""}
    out = capsys.readouterr().out
    assert "+0.0500" in out
    assert "fewer than 6 cases" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a.csv", "none.csv"), "none.csv: no such file"),
        (("a.csv", "other.csv"), "flare23"),
        (("a.csv", "elsewhere.csv"), "no case in common"),
        (("a.csv", "a.csv", "--metrics", "HD95_mm"), "HD95_mm"),
        (("a.csv", "a.csv", "--metrics", "Dice"), "Dice"),
        (("a.csv", "a.csv", "--output", "none/c.csv"), "no such folder"),
        (("a.csv", "a.csv", "--output", "a.csv"), "exists already"),
        (("a.csv", "broken.csv"), "broken.csv: "),
        (("a.csv",), "B.csv"),
        ((), "A.csv"),
    ],
)
def test_wrong_calls(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    scores(tmp_path / "a.csv", {"x": [0.5] * 4})
    scores(tmp_path / "elsewhere.csv", {"y": [0.5] * 4})
    scores(tmp_path / "other.csv", {"x": [0.5] * 14}, FLARE23)
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00")
    before = files_in(tmp_path)
    assert_refused(capsys, ("compare", *words), said)
    assert files_in(tmp_path) == before


def test_differences_of_volume_are_compared_by_their_size(tmp_path):
    """A has 5 ml too few in all six cases, B 7 ml too many: worse by 2 ml, not better by 12."""
    first, second = volumes(tmp_path / "a.csv", [-5] * 6), volumes(tmp_path / "b.csv", [7] * 6)
    rows = by_structure(first, second, Metric.VOLUME_DIFFERENCE)
    liver, organs = rows["liver"], rows["organ mean"]
    assert (liver.mean_a, liver.mean_b, liver.difference, liver.low, liver.high) == (5, 7, 2, 2, 2)
    assert (organs.mean_a, organs.mean_b, organs.difference) == (5 / 4, 7 / 4, 2 / 4)
    # One and the same error to either side is no difference.
    third = volumes(tmp_path / "c.csv", [5] * 6)
    assert by_structure(first, third, Metric.VOLUME_DIFFERENCE)["liver"].wilcoxon_p == 1


def failed(path, dsc: list[float], error: str):
    """A score table of FLARE21 with one DSC and NSD a case; `error` is that of the last case."""
    columns = [f"{organ}_{kind}" for kind in ("DSC", "NSD") for organ in ORGANS]
    rows = [{"Name": f"case{i}.nii.gz", **dict.fromkeys(columns, str(value))} for i, value in enumerate(dsc)]
    rows[-1]["Error"] = error
    write_csv(path, ["Name", *columns, "Error"], rows)
    return path


def test_cases_in_error_are_told_of(tmp_path, capsys):
    """One label map of eight is missing: 0.1 below, as eight cases that are 0.1 worse would be."""
    a = failed(tmp_path / "a.csv", [0.8] * 8, "")
    b = failed(tmp_path / "b.csv", [0.8] * 7 + [0.0], "missing: there is no prediction of this name")
    assert call("compare", a, b) == 0
    assert capsys.readouterr().err == "B: 1 of 8 cases in error, counted as 0: case7\n"
    assert by_structure(a, b)["liver"].difference == pytest.approx(-0.1)
    # A remark of a case that was scored, and a case that the other table lacks, are no such case.
    remarked = failed(tmp_path / "c.csv", [0.8] * 8, "resampled")
    fewer = failed(tmp_path / "d.csv", [0.8] * 7, "")
    assert call("compare", remarked, a) == 0
    assert call("compare", b, fewer) == 1
    assert "in error" not in capsys.readouterr().err
