"""A submission never gains by writing more or less than was asked; and which tables may be ranked
together."""

import csv

import numpy as np
import pytest

from eval.comparing.rank_table import gather, results_of
from eval.comparing.ranking import rank
from eval.comparing.ranking_rules import SCHEMES, RankingRules, find_rules
from eval.comparing.submissions import read_submission, stated_cases
from eval.eval_errors import JudgingError
from eval.scoring.challenges import CHALLENGES
from eval.scoring.score_table import read_scores
from tests.eval.command_line import assert_refused, call, rows_of
from tests.eval.made import disturbed, organs, write

CASES = [f"case{i}" for i in range(8)]
SHAPE = (6, 10, 12)
COSTS = ("Name", "Time", "AUC_GPU_Time", "AUC_CPU_Time", "GPU_Above2GB_MBs", "Status")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """What is asked for here, places and who wins in all or no resamples, is the same with few."""
    monkeypatch.setattr("eval.comparing.ranking.RESAMPLES", 200)
    monkeypatch.setattr("eval.comparing.ranking.FEWER_RESAMPLES", 200)


def efficiency(folder, generator, present):
    """What a run of a submission leaves: rows for all images, also for those without a label map."""
    rows = []
    for case in CASES:
        time = round(float(generator.uniform(5, 40)), 2)
        rows.append(
            [f"{case}.nii.gz", time, 900 * time, 50 * time, 0, "ok" if case in present else "no output"]
        )
    with (folder / "efficiency.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COSTS, *rows])


def scored(folder, truth):
    words = ("--pred", folder / "labels", "--truth", truth, "--labels", "flare21", "--no-hd95", "--jobs", 1)
    call("score", *words, "--output", folder / "scores.csv", "--force")
    (folder / "scores_summary.csv").unlink()
    return folder


def ranked(folders, rules: RankingRules, truth):
    """Place and mean rank of the first submission."""
    cases = stated_cases(truth)
    results = [results_of(read_submission(folder), cases, rules) for folder in folders]
    ranking = rank([result.name for result in results], gather(results, cases, rules), rules)
    found = next(placing for placing in ranking.placings if placing.submission == folders[0].name)
    return found.place, found.score


@pytest.fixture(scope="module", params=range(3))
def challenge(request, tmp_path_factory):
    """Truths, three honest submissions of random quality, and random maps to send in."""
    folder = tmp_path_factory.mktemp("challenge")
    generator = np.random.default_rng(request.param)
    truths = {case: organs(generator, 4, SHAPE) for case in CASES}
    for case, labels in truths.items():
        write(folder / "truth" / f"{case}.nii.gz", labels)
    sent = {}
    for team in ("ours", "second", "third"):
        rounds = generator.integers(0, 4)
        sent[team] = dict(truths)
        for _ in range(rounds):
            sent[team] = {case: disturbed(generator, labels) for case, labels in sent[team].items()}
        (folder / team).mkdir()
        for case, labels in sent[team].items():
            write(folder / team / "labels" / f"{case}.nii.gz", labels)
        efficiency(folder / team, generator, CASES)
        scored(folder / team, folder / "truth")
    return folder, sent["ours"], generator


@pytest.mark.parametrize("scheme", SCHEMES)
def test_writing_more_or_less_than_was_asked_never_pays(challenge, scheme):
    folder, maps, generator = challenge
    rules = RankingRules(metrics=find_rules("flare22").metrics, scheme=scheme, lenient_mb=2048.0)
    others = [folder / "second", folder / "third"]
    place, score = ranked([folder / "ours", *others], rules, folder / "truth")
    for attempt in range(3):
        present = [case for case in CASES if generator.random() < 0.6] or CASES[:1]
        stray = [f"stray{i}" for i in range(generator.integers(0, 5))] + [f"{CASES[0]}_0000"]
        trial = folder / f"{scheme}-{attempt}" / "ours"
        (trial / "labels").mkdir(parents=True)
        for case in [*present, *stray]:
            write(trial / "labels" / f"{case}.nii.gz", maps.get(case, maps[CASES[1]]))
        efficiency(trial, np.random.default_rng(attempt), present)
        fast = (trial / "efficiency.csv").read_text(encoding="utf-8")
        rows = "".join(f"{name}.nii.gz,0.1,0,0,0,ok\n" for name in stray[:-1])
        (trial / "efficiency.csv").write_text(fast + rows)
        scored(trial, folder / "truth")
        # The same costs as before, but for what was not written.
        costs = {row["Name"]: row for row in rows_of(folder / "ours" / "efficiency.csv")}
        lines = [",".join(COSTS)]
        for row in rows_of(trial / "efficiency.csv"):
            honest = costs.get(row["Name"])
            cells = row if honest is None else honest | {"Status": row["Status"]}
            lines.append(",".join(cells[name] for name in COSTS))
        (trial / "efficiency.csv").write_text("\n".join(lines) + "\n")
        now, mean = ranked([trial, *others], rules, folder / "truth")
        assert now >= place
        assert mean >= score - 1e-9


def test_extra_files_change_nothing_at_all(challenge, tmp_path):
    folder, maps, _ = challenge
    for name in ("same", "more"):
        for case, labels in maps.items():
            write(tmp_path / name / "labels" / f"{case}.nii.gz", labels)
    for i in range(4):
        write(tmp_path / "more" / "labels" / f"stray{i}.nii.gz", maps[CASES[0]])
    for name in ("same", "more"):
        (tmp_path / name / "efficiency.csv").write_text(
            (folder / "ours" / "efficiency.csv").read_text(encoding="utf-8")
        )
        scored(tmp_path / name, folder / "truth")
    assert rows_of(tmp_path / "same" / "scores.csv") == rows_of(tmp_path / "more" / "scores.csv")
    words = (
        "rank",
        tmp_path / "same",
        tmp_path / "more",
        "--rules",
        "flare22",
        "--output",
        tmp_path / "r.csv",
    )
    assert call(*words) == 0
    assert [(row["Place"], row["Score"]) for row in rows_of(tmp_path / "r.csv")] == [("1", "1.5000")] * 2


def organisers_table(folder, rows: dict[str, float], lesion="Tumor", more=()):
    """A FLARE23 table as organisers write it, with one value a case, and costs that are all alike."""
    folder.mkdir()
    short = [*CHALLENGES["flare22"].short_names.values(), *([lesion] if lesion else []), *more]
    columns = [f"{name}_{metric}" for metric in ("DSC", "NSD") for name in short]
    lines = [",".join(["Name", *columns])]
    lines += [",".join([f"{case}.nii.gz", *[str(value)] * len(columns)]) for case, value in rows.items()]
    (folder / "dsc.csv").write_text("\n".join(lines) + "\n")
    lines = ["Name,Time,AUC_GPU_Time", *(f"{case}_0000.nii.gz,10,100" for case in rows)]
    (folder / "efficiency.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_rows_of_no_case_of_the_truth_do_not_count(tmp_path, capsys):
    """The last team adds 30 rows of 0, which made it first in 99 % of the resamples."""
    good = organisers_table(tmp_path / "good", {case: 0.9 for case in CASES})
    bad = organisers_table(
        tmp_path / "bad", {case: 0.5 for case in CASES} | {f"extra{i}": 0.0 for i in range(30)}
    )
    words = ("rank", bad, good, "--output", tmp_path / "r.csv")
    assert_refused(capsys, words, "extra0 is only in", "--cases")
    (tmp_path / "cases.csv").write_text("Name\n" + "".join(f"{case}.nii.gz\n" for case in CASES))
    assert call(*words, "--cases", tmp_path / "cases.csv") == 1
    assert [(row["Submission"], row["First_share"]) for row in rows_of(tmp_path / "r.csv")] == [
        ("good", "1.0000"),
        ("bad", "0.0000"),
    ]
    assert capsys.readouterr().err.count("bad: left out, no case of the truth") == 60


def test_a_case_without_a_row_of_scores_has_no_costs_either(tmp_path):
    """A table of predictions alone, as organisers' programs write it, and a fast time of the missing case."""
    team = organisers_table(tmp_path / "team", {"case0": 0.9})
    with (team / "efficiency.csv").open("a") as stream:
        stream.write("case1_0000.nii.gz,0.1,0\n")
    found = results_of(read_submission(team), ["case0", "case1"], find_rules("flare23"))
    assert found.values["case0"]["Time"] == 0.0
    assert found.values["case1"] == {}


@pytest.mark.parametrize("lesion", ["Tumor", "Lesion"])
def test_both_names_of_the_lesion_are_read(tmp_path, lesion):
    table = read_scores(organisers_table(tmp_path / "team", {"a": 0.4}, lesion) / "dsc.csv")
    assert table.challenge.labels.name == "flare23"
    assert table.values["tumor", "DSC"].tolist() == [0.4]


def test_tables_with_both_names_are_ranked_alike(tmp_path):
    one = organisers_table(tmp_path / "one", {case: 0.6 for case in CASES}, "Tumor")
    two = organisers_table(tmp_path / "two", {case: 0.6 for case in CASES}, "Lesion")
    assert call("rank", one, two, "--output", tmp_path / "r.csv") == 0
    rows = rows_of(tmp_path / "r.csv")
    assert {row["Rank_Lesion_DSC"] for row in rows} == {"1.5000"}
    assert {row["Score"] for row in rows} == {"1.5000"}


@pytest.mark.parametrize(
    ("lesion", "more", "said"),
    [
        ("Tumor", ("Stone",), "flare23: Stone_DSC belongs to no structure of it"),
        ("Tumor", ("Lesion",), "flare23: Tumor_DSC and Lesion_DSC both stand for tumor"),
        (None, ("Stone",), "flare22: Stone_DSC belongs to no structure of it"),
    ],
)
def test_a_table_that_fits_no_challenge_is_refused_by_name(tmp_path, lesion, more, said):
    with pytest.raises(JudgingError, match=said):
        read_scores(organisers_table(tmp_path / "team", {"a": 0.4}, lesion, more) / "dsc.csv")


def test_a_table_of_lesions_alone_is_flare24s(tmp_path):
    (tmp_path / "t.csv").write_text("Name,Lesion_DSC,Lesion_NSD\na.nii.gz,0.5,0.25\n")
    table = read_scores(tmp_path / "t.csv")
    assert table.challenge.labels.name == "flare24-lesion"
    assert table.values["tumor", "NSD"].tolist() == [0.25]


def test_submissions_of_different_challenges_are_not_ranked(tmp_path, capsys):
    one = organisers_table(tmp_path / "one", {"a": 0.6})
    two = organisers_table(tmp_path / "two", {"a": 0.6}, None)
    words = ("rank", one, two, "--output", tmp_path / "r.csv")
    assert_refused(capsys, words, "is of flare23", "of flare22; rank tables of one challenge")
