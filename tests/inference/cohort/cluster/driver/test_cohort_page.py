"""The page at the end of a cohort: which volumes are odd, and what is shown of failures."""

import pytest

from inference.cohort.cluster.driver.cohort_page import PageFigures, odd_volumes, page_of
from inference.cohort.cluster.fates import Fate


def drawn(figures):
    return page_of(figures, "Cohort in", "Written 2024-05-06 07:08 by LeanSeg 1.2, bundle <small> (abc)")


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


def test_cases_without_an_organ_do_not_count_towards_its_volume():
    """Medians are of 1400, 1450, 1500, 1500 and 1550; crumbs are no liver, and neither are odd."""
    figures = figures_of(1400, 1450, 1500, 1500, 1550, 0, 0, 0)
    mere = Fate(case="crumbs", images=(), status="segmented", volumes_ml={"liver": 2.0}, crumbs=("liver",))
    figures.add(mere)
    assert "<tr><td>liver<td>5 of 9<td>1500.0<td>1410.0<td>1540.0" in drawn(figures)
    assert odd_volumes(figures) == []


def test_an_organ_that_was_never_found_has_no_figures():
    assert "<tr><td>liver<td>0 of 1<td>–<td>–<td>–<td></tr>" in drawn(figures_of(0))


def test_dots_stand_on_a_scale():
    page = drawn(figures_of(700, 1400))
    assert ">0</text>" in page
    assert ">1400.0 mL</text>" in page
    assert [f'cx="{at}"' in page for at in (15 + 70, 15 + 140)] == [True, True]


def test_the_page_lists_warnings_of_images():
    figures = figures_of(1400)
    assert "Warnings of images" not in drawn(figures)
    figures.add(Fate(case="thin", images=(), status="segmented", warnings=("has only <5> slices", "no air")))
    page = drawn(figures)
    assert "Warnings of images" in page
    assert '<td>thin<td class="text">has only &lt;5&gt; slices; no air' in page


def test_the_page_shows_failures_and_hides_nothing_in_markup():
    page = drawn(figures_of(1400, 1500, failures=["<b>in/bad.nii: is empty"]))
    assert "&lt;b&gt;in/bad.nii: is empty" in page
    assert "<b>" not in page
    assert "2 segmented, 1 failed" in page
    assert "2 of 2<td>1450.0" in page
    assert '<th>case<th class="text">why<th>tries' in page
    assert "4 s of workers in all" in page
    assert "http" not in page


def test_the_page_says_what_made_it_and_fits_a_telephone_and_a_dark_room():
    made = drawn(figures_of(1400))
    assert (
        "Written 2024-05-06 07:08 by LeanSeg 1.2, bundle &lt;small&gt; (abc). Not a medical device." in made
    )
    assert "width=device-width" in made
    assert "color-scheme: light dark" in made
    assert made.count("<div><table>") == made.count("<table>") == made.count("</table></div>") == 3
    assert "<th>median mL<th>5th percentile mL<th>95th percentile mL" in made


def test_doubtful_cases_are_counted_and_marked():
    """Median 1475, deviations of 50: 300 mL is odd; the last of six dots is a ring."""
    figures = figures_of(1400, 1450, 1500, 1500, 1550)
    assert "are rings" not in drawn(figures)
    found = {"liver": 300.0, "spleen": 0.0}
    figures.add(Fate(case="small", images=(), status="segmented", volumes_ml=found, doubts=("liver small",)))
    made = drawn(figures)
    assert "<p>6 segmented (1 doubtful)</p>" in made
    assert "doubtful ones, which count too, are rings" in made
    assert '<td>small (doubtful)<td class="text">liver<td>300.0' in made
    assert made.count('<circle cx="42" cy="8" r="4" class="doubtful"/>') == made.count('r="4" class=') == 1


def test_the_page_lists_doubtful_results():
    figures = figures_of(1400)
    assert "Doubtful" not in drawn(figures)
    figures.add(
        Fate(case="odd one", images=(), status="segmented", doubts=("liver in 2 large pieces", "no spleen"))
    )
    page = drawn(figures)
    assert "Doubtful results" in page
    assert "odd one" in page
    assert "liver in 2 large pieces; no spleen" in page
