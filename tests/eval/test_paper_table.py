"""Tables for a paper: what they hold, and that no name breaks them."""

import numpy as np

from eval.commands.rank import ranking_rows
from eval.comparing.ranking import rank
from eval.comparing.ranking_rules import RankedMetric, RankingRules
from eval.paper_table import latex, markdown
from tests.eval.command_line import assert_refused, call
from tests.eval.made import write

CUBE = (1.0, 1.0, 1.0)
HOSTILE = "a\\b{c}$d_e&f#g%h~i^j|k≤l≥m∞n"


def words_of(folder, *more):
    """A call of `score`. Of two voxels of liver one is found: DSC 2·1/(1 + 2); NSD 1, 1 mm being allowed."""
    for side, voxels in (("truth", [1, 1, 0, 0]), ("pred", [1, 0, 0, 0])):
        write(folder / side / "a.nii.gz", np.array([[voxels]], np.uint8), CUBE)
    paths = ("--pred", folder / "pred", "--truth", folder / "truth", "--output", folder / "scores.csv")
    return ("score", *paths, "--labels", "flare21", *more)


def scored(folder, *more):
    return call(*words_of(folder, *more))


def test_scores_in_markdown(tmp_path):
    assert scored(tmp_path, "--table", tmp_path / "table.md") == 0
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(" | ")[:3] == ["| structure", "cases", "DSC mean ± SD"]
    assert lines[2] == "| liver | 1 | 0.6667 ± – | 0.6667 | – | 1.0000 ± – | 1.0000 | – |"
    assert scored(tmp_path, "--table", tmp_path / "other.md") == 2  # The scores are there already.


def test_scores_in_latex(tmp_path):
    assert scored(tmp_path, "--table", tmp_path / "table.tex") == 0
    lines = (tmp_path / "table.tex").read_text(encoding="utf-8").splitlines()
    assert lines[1:3] == [r"\begin{tabular}{lrrrrrrr}", r"\toprule"]
    assert lines[3].startswith(r"structure & cases & DSC mean $\pm$ SD & DSC median & DSC 95 \% CI & ")
    assert lines[5] == r"liver & 1 & 0.6667 $\pm$ -- & 0.6667 & -- & 1.0000 $\pm$ -- & 1.0000 & -- \\"


def test_a_comparison_has_a_row_for_each_structure_and_metric(tmp_path):
    """One case of DSC 2/3, compared with itself: no interval, no test."""
    assert scored(tmp_path) == 0
    scores = tmp_path / "scores.csv"
    assert call("compare", scores, scores, "--table", tmp_path / "table.md") == 0
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "| liver | DSC | 1 | 0.6667 | 0.6667 | +0.0000 |  |  |  |  |  |"
    assert call("compare", scores, scores, "--table", tmp_path / "table.md") == 2


def test_a_ranking_has_a_row_for_each_submission():
    """The first has the higher DSC in both cases, and so in all resamples."""
    rules = RankingRules(name="ours", metrics=(RankedMetric(name="DSC", better="more"),))
    header, rows = ranking_rows(rank(["one", "two"], {"DSC": np.array([[0.9, 0.8], [0.5, 0.4]])}, rules))
    assert header[:5] == ["submission", "place", "mean rank", "95 % of places", "first"]
    assert [row[:5] for row in rows] == [
        ["one", "1", "1.000", "1 to 1", "100%"],
        ["two", "2", "2.000", "2 to 2", "0%"],
    ]
    assert all(len(row) == len(header) for row in rows)


def test_another_ending_is_refused_before_anything_is_scored(tmp_path, capsys):
    words = words_of(tmp_path, "--table", tmp_path / "table.docx")
    assert_refused(capsys, words, "table.docx: unknown kind of table; end the name in .tex or .md")
    assert not (tmp_path / "scores.csv").exists()


def test_no_name_breaks_a_table():
    assert markdown(["name", "mean"], [["a|b", "1"]]).splitlines()[2] == r"| a\|b | 1 |"
    row = latex(["name", "mean"], [[HOSTILE, "-1 to -0.5"], ["[t]*", "-∞<0.1"]]).splitlines()[5:7]
    assert row[0] == (
        r"a\textbackslash{}b\{c\}\$d\_e\&f\#g\%h\textasciitilde{}i\textasciicircum{}j$|$k"
        r"$\leq$l$\geq$m$\infty$n & $-$1 to $-$0.5 \\"
    )
    assert row[1] == r"{[}t]{*} & $-$$\infty$$<$0.1 \\"
