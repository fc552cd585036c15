import math

import numpy as np
import pytest
from scipy import stats

from eval.__main__ import main
from eval.comparing.paired_tests import compare, compare_values, paired_tests
from eval.eval_errors import JudgingError
from eval.files import write_csv
from eval.scoring.score_table import read_scores
from eval.scoring.structure_scores import Metric

ORGANS = ["Liver", "Kidney", "Spleen", "Pancreas"]


def write_scores(path, values: np.ndarray, names=None, columns=ORGANS):
    """A table of a made challenge: the same values for DSC and NSD; shape (cases, organs)."""
    names = names or [f"case_{i}.nii.gz" for i in range(len(values))]
    headers = [f"{organ}_{kind}" for kind in ("DSC", "NSD") for organ in columns]
    rows = [
        {"Name": name, **dict(zip(headers, map(str, [*row, *row]), strict=True))}
        for name, row in zip(names, values, strict=True)
    ]
    write_csv(path, ["Name", *headers], rows)
    return path


@pytest.fixture
def tables(tmp_path):
    generator = np.random.default_rng(4)
    a = np.round(generator.uniform(0.6, 0.9, (12, 4)), 4)
    b = a.copy()
    b[:, 0] += np.round(generator.uniform(0.01, 0.03, 12), 4)  # better in every case
    b[:, 1] = np.round(a[:, 1] + generator.normal(0, 0.02, 12), 4)  # sometimes so, sometimes so
    return write_scores(tmp_path / "a.csv", a), write_scores(tmp_path / "b.csv", b), a, b


def test_wilcoxon_by_hand():
    # Six differences of one sign: 2 of 2^6 sign patterns are as extreme.
    assert paired_tests(np.array([1.0, 2, 3, 4, 5, 6]))[0] == pytest.approx(2 / 64)
    # Five differences beside 15 ties are five: 2 of 2^5, and no star.
    assert paired_tests(np.array([0.01, 0.02, 0.03, 0.04, 0.05] + [0.0] * 15))[0] == pytest.approx(2 / 32)
    assert paired_tests(np.array([1.0] * 5 + [0.0] * 5))[0] == pytest.approx(2 / 32)
    assert paired_tests(np.zeros(8)) == (1.0, 1.0)
    assert paired_tests(np.full(8, 0.1))[1] == 0.0


def test_tests_are_scipys(tables):
    first, second, a, b = tables
    rows = {row.structure: row for row in compare(read_scores(first), read_scores(second), [Metric.DSC])}
    assert rows["kidney"].wilcoxon_p == pytest.approx(stats.wilcoxon(np.round(b[:, 1] - a[:, 1], 9)).pvalue)
    assert rows["kidney"].t_p == pytest.approx(stats.ttest_rel(b[:, 1], a[:, 1]).pvalue)
    assert rows["liver"].wilcoxon_p == pytest.approx(2 / 2**12)
    assert rows["liver"].wilcoxon_holm_p == pytest.approx(4 * 2 / 2**12)
    assert rows["spleen"].wilcoxon_p == 1.0
    assert rows["liver"].low > 0.01
    assert rows["liver"].high < 0.03
    assert rows["organ mean"].difference == pytest.approx((b - a).mean())
    assert math.isnan(rows["organ mean"].wilcoxon_holm_p)


def test_few_cases_are_not_tested():
    row = compare_values("liver", Metric.DSC, np.full(5, 0.5), np.linspace(0.6, 0.7, 5))
    assert row.difference == pytest.approx(0.15)
    assert math.isnan(row.wilcoxon_p)


def test_what_one_table_does_not_score_is_left_out():
    row = compare_values("liver", Metric.HD95, np.array([1.0, math.nan, 3.0]), np.array([2.0, 5.0, math.inf]))
    assert (row.cases, row.difference, row.infinite, row.left_out) == (1, 1.0, 1, 1)


def test_the_command(tables, capsys, tmp_path):
    first, second, *_ = tables
    assert main(["compare", str(first), str(second), "--output", str(tmp_path / "c.csv")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("*")] == ["liver", "liver"]
    assert (
        (tmp_path / "c.csv")
        .read_text(encoding="utf-8")
        .startswith("Structure,Metric,Cases,Mean_A,Mean_B,Difference")
    )
    assert main(["compare", str(first), str(second), "--output", str(tmp_path / "c.csv")]) == 2


def test_cases_that_only_one_table_has_are_named(tables, capsys, tmp_path):
    first, _, a, _ = tables
    second = write_scores(tmp_path / "fewer.csv", a[:8])
    assert main(["compare", str(first), str(second)]) == 1
    err = capsys.readouterr().err
    assert err.count("left out") == 4
    assert "case_9 is only in" in err


def test_rows_are_paired_by_name_not_by_place(tables, tmp_path):
    first, _, a, _ = tables
    turned = write_scores(
        tmp_path / "turned.csv", a[::-1], [f"case_{i}.nii.gz" for i in reversed(range(len(a)))]
    )
    assert all(row.difference == 0 for row in compare(read_scores(first), read_scores(turned), [Metric.DSC]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("", "has not the columns"),
        ("Name,Time,MaxGPU_Mem\na,1,2\n", "has not the columns of a score table"),
        ("Name,Liver_DSC\na,1,2\n", "longer or shorter"),
        ("Name," + ",".join(f"{o}_{k}" for k in ("DSC", "NSD") for o in ORGANS) + "\n", "no rows"),
        (
            "Name," + ",".join(f"{o}_{k}" for k in ("DSC", "NSD") for o in ORGANS) + "\na,x,1,1,1,1,1,1,1\n",
            "'x' in column Liver_DSC",
        ),
        (
            "Name,"
            + ",".join(f"{o}_{k}" for k in ("DSC", "NSD") for o in ORGANS)
            + "\n"
            + "a,1,1,1,1,1,1,1,1\n" * 2,
            "two rows",
        ),
    ],
)
def test_files_that_are_no_score_tables(tmp_path, content, words):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(JudgingError, match=words):
        read_scores(path)


def test_tables_of_other_challenges_or_cases(tables, tmp_path):
    first, _, a, _ = tables
    with pytest.raises(JudgingError, match="no case in common"):
        compare(
            read_scores(first), read_scores(write_scores(tmp_path / "o.csv", a[:2], ["x", "y"])), [Metric.DSC]
        )
    with pytest.raises(JudgingError, match="none of HD95_mm"):
        compare(read_scores(first), read_scores(first), [Metric.HD95])
    organs = "Liver RK Spleen Pancreas Aorta IVC RAG LAG Gallbladder Esophagus Stomach Duodenum LK"
    other = write_scores(tmp_path / "f22.csv", np.ones((2, 13)), columns=organs.split())
    with pytest.raises(JudgingError, match="is of flare21"):
        compare(read_scores(first), read_scores(other), [Metric.DSC])
