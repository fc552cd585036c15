"""What `rank` says and does where tables of submissions lack rows, cells, columns or whole tables."""

import pytest

from eval.scoring.challenges import CHALLENGES
from tests.eval.command_line import assert_refused, call, rows_of
from tests.eval.comparing.test_rank_tables import cost, submission

SHORT_21 = tuple(CHALLENGES["flare21"].short_names.values())
CASES = ("a", "b", "c")


def rules(folder, *metrics: str):
    path = folder / "rules.yaml"
    named = [f"{{name: {name}, better: {'more' if 'DSC' in name else 'less'}}}" for name in metrics]
    path.write_text(f"metrics: [{', '.join(named)}]\n")
    return path


def distances(folder, pancreas_mm: list[str], diagonal_mm: str = ""):
    """A table of FLARE21: all other organs are 3 mm off; where the pancreas is missed, its DSC is 0."""
    folder.mkdir()
    columns = [f"{organ}_{kind}" for kind in ("DSC", "NSD", "HD95_mm") for organ in SHORT_21]
    rows = []
    for case, mm in zip(CASES, pancreas_mm, strict=False):
        cells = ["0.9"] * 3 + ["0" if mm == "inf" else "0.9"]
        rows.append([case, *cells, *cells, "3", "3", "3", mm, *([diagonal_mm] if diagonal_mm else [])])
    header = ["Name", *columns, *(["Diagonal_mm"] if diagonal_mm else [])]
    (folder / "scores.csv").write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    return folder


@pytest.mark.parametrize("scheme", ["rank-then-aggregate", "aggregate-then-rank"])
@pytest.mark.parametrize(
    ("metric", "diagonal_mm", "misses", "said"),
    [
        # (3 + 3 + 3 + 9) / 4 against infinity, and against (3 + 3 + 3 + 700) / 4.
        ("Organ_HD95_mm", "", "inf", "is infinite in 2 of 2 cases (a structure was missed) and stays so"),
        ("Organ_HD95_mm", "700", "177.25", "infinite in 2 of 2 cases (a structure was missed), counted as"),
        ("HD95_mm", "", "inf", "and stays so, since no table says the image's diagonal"),
        ("Pancreas_HD95_mm", "700", "700", "counted as the image's diagonal"),
    ],
)
def test_missing_an_organ_never_wins(tmp_path, capsys, metric, diagonal_mm, misses, said, scheme):
    """The diagonal stands in the table of the other submission, as in `compare`."""
    finds = distances(tmp_path / "finds", ["9", "9"], diagonal_mm)
    missed = distances(tmp_path / "misses", ["inf", "inf"])
    own = rules(tmp_path, metric)
    words = ("rank", missed, finds, "--rules", own, "--scheme", scheme, "--output", tmp_path / "r.csv")
    assert call(*words) == 0
    assert [row["Submission"] for row in rows_of(tmp_path / "r.csv")] == ["finds", "misses"]
    values = {(row["Algorithm"], row["Case"]): row["Value"] for row in rows_of(tmp_path / "r_cases.csv")}
    assert values["misses", "a"] == misses
    err = capsys.readouterr().err
    assert f"misses: {metric} is infinite" in err
    assert said in err


def test_accuracy_alone_is_ranked_without_costs(tmp_path, capsys):
    first, second = distances(tmp_path / "first", ["9", "9"]), distances(tmp_path / "second", ["8", "8"])
    words = ("--output", tmp_path / "r.csv")
    assert call("rank", first, second, "--rules", rules(tmp_path, "Pancreas_HD95_mm"), *words) == 0
    assert [row["Submission"] for row in rows_of(tmp_path / "r.csv")] == ["second", "first"]
    words = ("--rules", rules(tmp_path, "Organ_DSC", "Time"), "--output", tmp_path / "other.csv")
    assert_refused(capsys, ("rank", first, second, *words), f"{first}: holds no efficiency table", "Time")


def without(path, cells_of: str, cases: tuple[str, ...]):
    """Empty the cells of columns that end so, or take the rows out, in some cases of a table."""
    header, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [header]
    for row in rows:
        if row[0].removesuffix(".nii.gz") not in cases:
            kept.append(row)
        elif cells_of:
            kept.append(
                ["" if name.endswith(cells_of) else cell for name, cell in zip(header, row, strict=True)]
            )
    path.write_text("\n".join(map(",".join, kept)) + "\n")


@pytest.mark.parametrize(
    ("table", "cells_of", "lacks"),
    [
        ("efficiency.csv", "", "Time, AUC_GPU"),
        ("efficiency.csv", "AUC_GPU_Time", "AUC_GPU"),
        ("scores.csv", "SC", "Organ_DSC, Lesion_DSC"),
        ("scores.csv", "D", "Organ_NSD, Lesion_NSD"),
    ],
)
def test_a_table_that_does_not_say_all_of_a_case_is_named_with_the_case(
    tmp_path, capsys, table, cells_of, lacks
):
    whole, part = (
        submission(tmp_path / name, dict.fromkeys(CASES, 0.9), dict.fromkeys(CASES, cost()))
        for name in ("whole", "part")
    )
    without(part / table, cells_of, ("a", "c"))
    assert call("rank", whole, part, "--output", tmp_path / "r.csv") == 1
    assert {row["Submission"]: row["Missing"] for row in rows_of(tmp_path / "r.csv")} == {
        "whole": "0",
        "part": "2",
    }
    said = f"part: {part / table} lacks {lacks} of 2 of 3 cases, ranked last there: a and c\n"
    assert said in capsys.readouterr().err


def test_what_no_submission_has_of_a_case_is_lacked_by_none(tmp_path):
    folders = [
        submission(tmp_path / name, dict.fromkeys(CASES, 0.9), dict.fromkeys(CASES, cost()))
        for name in ("one", "two")
    ]
    for folder in folders:
        without(folder / "efficiency.csv", "AUC_GPU_Time", ("b",))
    assert call("rank", *folders, "--output", tmp_path / "r.csv") == 0


@pytest.mark.parametrize("table", ["scores.csv", "efficiency.csv"])
def test_tables_of_spreadsheets(tmp_path, capsys, table):
    """With a byte-order mark they are read; without a column Name, or with semicolons, refused."""
    team = submission(tmp_path / "team", {"a": 0.9}, {"a": cost()})
    words = ("rank", team, "--output", tmp_path / "r.csv", "--force")
    text = (team / table).read_text(encoding="utf-8")
    (team / table).write_text(f"\ufeff{text}", encoding="utf-8")
    assert call(*words) == 0
    (team / table).write_text(text.replace(".", ",").replace(",", ";"))
    assert_refused(capsys, words, f"{team / table}: its cells are separated by semicolons")
    (team / table).write_text(text.replace("Name", "Case", 1))
    assert_refused(capsys, words, "no column Name" if table == "efficiency.csv" else "no score table")


def test_places_in_resamples_are_places_that_occur(tmp_path, capsys):
    """Of two that win one case each, the places are 1 or 2, and both are first where they tie."""
    one = submission(tmp_path / "one", {"a": 0.9, "b": 0.7}, dict.fromkeys("ab", cost()))
    two = submission(tmp_path / "two", {"a": 0.8, "b": 0.8}, dict.fromkeys("ab", cost()))
    words = ("--rules", rules(tmp_path, "Organ_DSC"), "--output", tmp_path / "r.csv")
    assert call("rank", one, two, *words) == 0
    for row in rows_of(tmp_path / "r.csv"):
        assert (row["Place_median"], row["Place_low"], row["Place_high"]) == ("1", "1", "2")
        # Both cases twice, or one of each: a quarter and a half.
        assert float(row["First_share"]) == pytest.approx(0.75, abs=0.02)
