"""What the legend of a picture says."""

import pytest
from matplotlib.figure import Figure

from eval.pictures.lettering import doubt_lines, draw_legend, write_doubts, write_foot
from tests.eval.pictures.test_picture_pixels import scene


def legend(what):
    figure = Figure()
    draw_legend(figure, what, 0.1, 0.9)
    (drawn,) = figure.legends
    return drawn.get_title().get_text(), [text.get_text() for text in drawn.get_texts()]


def test_without_a_truth_structures_have_their_volumes():
    """A thousand voxels of 1 mm³, and one of them."""
    cube, voxel = (slice(1, 11),) * 3, (slice(15, 16),) * 3
    labelled = scene(labels={"liver": cube, "spleen": voxel})
    assert legend(labelled) == ("Structures", ["liver  1.0 mL", "spleen  < 0.1 mL"])


def test_what_reaches_the_edge_has_at_least_its_volume_and_a_tumor_is_a_possible_one():
    """The image has 20 voxels of 1 mm along each axis."""
    inner = slice(1, 11)
    labelled = scene(
        labels={
            "liver": (slice(10, 20), inner, inner),
            "tumor": (slice(2, 8), inner, inner),
            "spleen": (slice(0, 1),) * 3,
        }
    )
    assert legend(labelled)[1] == ["liver  ≥ 1.0 mL", "spleen  < 0.1 mL", "possible tumor  0.6 mL"]


@pytest.mark.parametrize(("more", "name"), [({}, "truth"), ({"truth_name": "reference"}, "reference")])
def test_labels_are_compared_with_what_they_are_compared_with(more, name):
    cube = {"liver": (slice(0, 10),) * 3}
    both = scene(labels=cube, truth=scene(labels=cube).labels, **more)
    assert legend(both) == (f"DSC with the {name}", ["1.00  liver", name])


def test_what_the_truth_does_not_hold_has_its_volume():
    cube = (slice(0, 10),) * 3
    both = scene(
        labels={"liver": cube, "spleen": (slice(15, 17),) * 3}, truth=scene(labels={"liver": cube}).labels
    )
    assert legend(both) == ("DSC with the truth", ["1.00  liver", "+< 0.1 mL  spleen", "truth"])


def foot(what):
    figure = Figure()
    write_foot(figure, what, 5.0)
    (text,) = figure.texts
    return text.get_text()


def test_the_foot_says_whose_labels_they_are_and_what_they_are_not_for():
    inner, edge = {"liver": (slice(1, 3),) * 3}, {"liver": (slice(0, 3),) * 3}
    assert foot(scene(labels=inner)) == "Not for clinical use"
    assert foot(scene(labels=inner, maker="mine")) == "Not for clinical use   ·   labels by mine"
    assert foot(scene(labels=edge)).endswith(
        "·   ≥ reaches the edge of the scan, which may cut off some of it"
    )
    compared = scene(labels=edge, truth=scene(labels=edge).labels)
    assert foot(compared) == "Not for clinical use", "scores stand where volumes would"


def test_doubts_are_lines_that_fit_and_signs_in_them_are_no_formulas():
    assert doubt_lines(()) == []
    assert doubt_lines(("no liver", "odd")) == ["Look before you trust it: no liver; odd"]
    many = doubt_lines(["thirty letters and one blank or"] * 40)
    assert (len(many), max(map(len, many)) <= 170, many[-1].endswith(" …")) == (4, True, True)
    figure = Figure()
    write_doubts(figure, ["$a$", "b"], 5.0)
    first, second = figure.texts
    assert (first.get_text(), first.get_parse_math()) == ("$a$", False)
    assert first.get_position()[1] > second.get_position()[1]
