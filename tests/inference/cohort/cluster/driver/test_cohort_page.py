"""The page at the end of a cohort: which volumes are odd, and what is shown of failures."""

import pytest

from inference.cohort.cluster.driver.cohort_page import PageFigures, odd_volumes, page_of
from inference.cohort.cluster.fates import Fate


def figures_of(*liver_ml, failures=()):
    figures = PageFigures(structures=("liver", "spleen"))
    for number, volume in enumerate(liver_ml):
        name = f"case {number}"
        volumes = {"liver": volume, "spleen": 200.0}
        figures.add(Fate(case=name, images=(), status="segmented", volumes_ml=volumes, seconds={"read": 2.0}))
    for reason in failures:
        figures.add(Fate(case="bad", images=(), status="failed", reason=reason, tries=3))
    return figures


def test_a_volume_far_from_the_median_is_odd():
    """Median 1475; distances from it 75, 25, 25, 25, 75 and 1175, of which the median is 50."""
    (row,) = odd_volumes(figures_of(1400, 1450, 1500, 1500, 1550, 300))
    deviation, case, structure, volume, median = row
    assert (case, structure, volume, median) == ("case 5", "liver", 300, 1475)
    assert deviation == pytest.approx(0.6745 * (300 - 1475) / 50)


def test_the_farthest_comes_first_and_equal_volumes_are_not_odd():
    odd = odd_volumes(figures_of(1400, 1450, 1500, 1550, 1600, 300, 5000))
    assert [row[1] for row in odd] == ["case 6", "case 5"]
    assert odd_volumes(figures_of(1400, 1450, 9000)) == [], "too few to tell"


def test_the_page_shows_failures_and_hides_nothing_in_markup():
    page = page_of(figures_of(1400, 1500, failures=["<b>in/bad.nii: is empty"]), "Cohort in")
    assert "&lt;b&gt;in/bad.nii: is empty" in page
    assert "<b>" not in page
    assert "2 segmented, 1 failed" in page
    assert "2 of 2<td>1450.0" in page
    assert '<th>case<th class="text">why<th>tries' in page
    assert "4 s of workers in all" in page
    assert "http" not in page


def test_the_page_lists_doubtful_results():
    figures = figures_of(1400)
    assert "Doubtful" not in page_of(figures, "Cohort in")
    figures.add(
        Fate(case="odd one", images=(), status="segmented", doubts=("liver in 2 large pieces", "no spleen"))
    )
    page = page_of(figures, "Cohort in")
    assert "Doubtful results" in page
    assert "odd one" in page
    assert "liver in 2 large pieces; no spleen" in page
