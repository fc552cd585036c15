"""The figures of a ranking in a real browser: legible for a few submissions and for many."""

import itertools
import json

import pytest

from eval.__main__ import main
from eval.comparing.ranking_rules import SCHEMES
from tests.eval.report.reports import write_scores

pytestmark = pytest.mark.slow

COUNTS = [3, 30]
WORDS = """(title) =>
    [...document.querySelectorAll(`#ranking svg[aria-label^='${title}'] text`)].map((each) => {
    const { left, top, right, bottom } = each.getBoundingClientRect();
    const along = [left, right], across = [top, bottom], text = each.textContent;
    return each.getAttribute("transform")
        ? { text, along: across, across: along, upright: true } : { text, along, across, upright: false };
})"""
DOTS = """[...document.querySelectorAll("#ranking svg[aria-label^='Places under'] circle")].map((each) =>
    [Number(each.getAttribute("cx")), Number(each.getAttribute("cy"))])"""


@pytest.fixture(scope="module", params=COUNTS)
def ranked(request, tmp_path_factory):
    """How many submissions, and a page of them: the first two tie; by the last scheme all do.

    The second lacks both cases; the last has a name of 60 letters, as its error has a word of 400.
    """
    many, folder = request.param, tmp_path_factory.mktemp("ranked")
    names = [f"team{i:02d}" for i in range(1, many)] + ["n" * 60]
    places = [1, 1, *range(3, many + 1)]
    columns = "Place,Submission,Score,Rank_DSC,Cases,Missing,Place_median,Place_low,Place_high,First_share"
    rows = [
        f"{place},{name},{i},{i},2,{2 if i == 1 else 0},{place},{place},{many},0.5"
        for i, (name, place) in enumerate(zip(names, places, strict=True))
    ]
    (folder / "ranking.csv").write_text("\n".join([columns, *rows]) + "\n")
    submissions = [
        {
            "name": name,
            "place_shares": [1 / many] * many,
            "place_by": {SCHEMES[0]: place, SCHEMES[1]: many + 1 - i, SCHEMES[2]: 1},
            "case_ranks": [float(i), 1 + many / 2],
        }
        for i, (name, place) in enumerate(zip(names, places, strict=True), start=1)
    ]
    tests = [
        {"metric": "DSC", "better": one, "worse": other, "p": 0.04, "p_holm": 0.2}
        for one in names
        for other in names
        if one < other
    ]
    details = {"rules": "ours", "scheme": SCHEMES[0], "metrics": [{"name": "DSC", "weight": 1}], "cases": 2}
    details |= {"kendall_tau": None, "submissions": submissions, "superiorities": tests}
    (folder / "ranking_details.json").write_text(json.dumps(details))
    write_scores(folder / "scores.csv", {"a.nii.gz": {}, "b.nii.gz": {"Error": "e" * 400}})
    words = (
        "--scores",
        folder / "scores.csv",
        "--ranking",
        folder / "ranking.csv",
        "--output",
        folder / "page",
    )
    assert main(["report", *map(str, words), "--jobs", "1"]) == 0
    return many, folder / "page" / "index.html"


@pytest.mark.parametrize("title", ["Shares", "Mean rank", "Places under", "Significance", "Places in"])
def test_no_word_lies_on_another(ranked, browser, title):
    _, page = ranked
    browser.open(page)
    words = browser.do(f"({WORDS})({title!r})")
    assert len(words) > 3
    for one, other in itertools.combinations(words, 2):
        if one["upright"] is other["upright"]:
            along, across = (
                min(end, other_end) - max(start, other_start)
                for (start, end), (other_start, other_end) in (
                    (one[way], other[way]) for way in ("along", "across")
                )
            )
            # Boxes beside each other share the room that letters leave above and below them.
            assert along < 1 or across < 6, (one["text"], other["text"])


def test_submissions_that_tie_stand_apart_each_with_its_label(ranked, browser):
    many, page = ranked
    browser.open(page)
    dots = browser.do(DOTS)
    assert len({tuple(dot) for dot in dots}) == 3 * many
    assert len({y for _, y in dots}) == many
    # Two tie by the first scheme, none by the second, all by the third.
    assert browser.do("document.querySelectorAll('#ranking .tie').length") == 2
    labels = """[...document.querySelectorAll("#ranking svg[aria-label^='Places under'] .label")]"""
    assert browser.do(f"{labels}.map((each) => Number(each.getAttribute('y')) - 4)") == [
        y for x, y in dots if x == dots[0][0]
    ]
    assert browser.do(f"{labels}.slice(0, 2).map((each) => each.textContent)") == ["1  team01", "1  team02"]


def test_figures_grow_with_the_number_of_submissions(ranked, browser):
    many, page = ranked
    browser.open(page)
    boxes = "[...document.querySelectorAll('#ranking svg')].map((each) => each.viewBox.baseVal.height)"
    assert min(browser.do(boxes)) >= 18 * many
    missing = "[...document.querySelectorAll('#ranking tbody tr')].map((row) => row.lastChild.textContent)"
    assert browser.do(missing) == ["0", "2", *["0"] * (many - 2)]


def test_a_long_word_stays_in_its_row(ranked, browser):
    browser.open(ranked[1])
    beyond = (
        "(([word, table]) => word.scrollWidth - word.clientWidth <= 0 && table.scrollWidth <= innerWidth)"
    )
    assert browser.do(f"{beyond}(['#table .error', '#table'].map((each) => document.querySelector(each)))")
