"""What a report shows of missed organs and of lesions, in a real browser."""

import numpy as np
import pytest

from eval.__main__ import main
from tests.eval.made import write
from tests.eval.report.reports import report, write_scores

pytestmark = pytest.mark.slow

READY = "document.getElementById('case').dataset.ready"


def test_missed_organs_lie_on_a_line_with_their_number(tmp_path, browser):
    distances = {"a": 2.0, "b": 4.0, "c": "inf", "d": "inf"}
    write_scores(tmp_path / "scores.csv", {case: {"Liver_HD95_mm": mm} for case, mm in distances.items()})
    assert report(tmp_path) == 0
    browser.open(tmp_path / "report" / "index.html")
    browser.do("document.querySelector('[data-metric=HD95_mm]').click()")
    assert browser.do("document.querySelectorAll('#boxes .point.missed').length") == 2
    ticks = browser.do("[...document.querySelectorAll('#boxes .tick')].map((text) => text.textContent)")
    assert {"∞", "2 of 4"} <= set(ticks)
    # Of 2, 4, ∞, ∞ the median and the upper quartile are infinite, the lower one is 3.5.
    label = browser.do("document.querySelector('#boxes .box').getAttribute('aria-label')")
    assert label == "liver: median ∞, quartiles 3.500 and ∞, 4 cases"
    assert "NaN" not in browser.do("document.getElementById('boxes').innerHTML")
    assert "lie cases in which only one" in browser.do("document.getElementById('organs-note').textContent")


def test_rings_and_profile_are_explained_and_lesions_have_names(tmp_path, browser):
    truth = np.zeros((12, 20, 20), np.uint8)
    prediction = truth.copy()
    truth[2:4, 2:5, 2:5], truth[8:10, 2:5, 2:5] = 14, 14
    prediction[2:4, 2:5, 2:5], prediction[5:7, 14:17, 14:17] = 14, 14
    for side, labels in (("pred", prediction), ("truth", truth)):
        write(tmp_path / side / "a.nii.gz", labels, (1.0, 1.0, 1.0))
    folders = ("--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth"))
    table = str(tmp_path / "scores.csv")
    assert (
        main(["score", *folders, "--labels", "flare23", "--lesions", "--output", table, "--jobs", "1"]) == 0
    )
    assert report(tmp_path, *folders) == 0
    browser.open(tmp_path / "report" / "index.html", "#case=a")
    browser.wait(f"{READY} === 'a'")
    said = browser.do("[...document.querySelectorAll('.legend span')].map((each) => each.textContent)")
    profile = "above a slider: wrong voxels in each slice"
    assert said == ["found lesion", "missed lesion", "false lesion", profile]
    names = browser.do("[...document.querySelectorAll('.lesions .link')].map((each) => each.textContent)")
    assert [name.rsplit(", ", 1)[0] for name in names] == [
        "tumor 1, found",
        "tumor 2, missed",
        "tumor 3, false",
    ]
    assert all(name.rsplit(", ", 1)[1].startswith("slice\u00a0") for name in names)
    # One case is no choice of where to look.
    assert browser.do("document.getElementById('worst-cases').hidden") is True
    origin = browser.do("document.getElementById('sources').textContent")
    assert " GB of memory" in origin
    assert "liver 5, right kidney 3" in origin
