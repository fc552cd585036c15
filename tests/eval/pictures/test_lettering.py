"""What the legend of a picture says."""

import pytest
from matplotlib.figure import Figure

from eval.pictures.lettering import draw_legend
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
