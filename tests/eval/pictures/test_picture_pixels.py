"""What stands where in the pictures: sizes, and the colours of known places."""

import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark.stage_plots import draw_stages
from eval.measuring.trace import EXACT_CPU, GPU, GPU_USE, OWN_CPU, OWN_GPU, OWN_RAM, RAM, Trace
from eval.measuring.watch import Stage
from eval.pictures.curves import OWN_COLOUR, WHOLE_COLOUR, draw_curves
from eval.pictures.planes import Plane, body_region, cut, most_informative
from eval.pictures.three_planes import BACKGROUND, Scene, draw
from model.colours import COLOURS
from model.labels import FLARE23

LIVER = 1
WIDTH = 2400
"""Pixels across a picture of three planes: 16 inches of 150 pixels."""


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def pixels(path) -> np.ndarray:
    """Rows, columns and RGB of a picture."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)


def share_of(drawn: np.ndarray, colour: str, tolerance: int = 12) -> float:
    """How much of a picture has a colour."""
    return float((np.abs(drawn - rgb(colour)).max(axis=-1) <= tolerance).mean())


def scene(hu: float = 40.0, labels: dict[str, tuple[slice, slice, slice]] | None = None, **more) -> Scene:
    """A body that fills its image, of one grey, with boxes of labels."""
    shape = (20, 20, 20)
    maps = np.zeros(shape, np.uint8)
    for name, box in (labels or {}).items():
        maps[box] = FLARE23.ids[name]
    fields = {
        "ct_hu": np.full(shape, hu, np.float32),
        "labels": maps,
        "spacing_zyx_mm": (1.0, 1.0, 1.0),
        "label_set": FLARE23,
        "title": "",
    }
    return Scene(**{**fields, **more})


def drawn(tmp_path, what: Scene) -> np.ndarray:
    draw(what, tmp_path / "a.png")
    return pixels(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("hu", "grey"),
    [
        # The window is −160 to 240 HU, so 40 HU is in its middle.
        (-160.0, 0),
        (-400.0, 0),
        (40.0, 128),
        (140.0, 191),
        (240.0, 255),
        (1000.0, 255),
    ],
)
def test_the_ct_is_shown_in_the_soft_tissue_window(tmp_path, hu, grey):
    picture = drawn(tmp_path, scene(hu))
    # The middle of the first of three planes: they share what 2.8 inches of legend and four gaps leave.
    row, column = 168 + 300, 27 + 300
    assert picture[row, column] == pytest.approx([grey] * 3, abs=2)


def test_planes_stand_side_by_side_on_a_dark_ground(tmp_path):
    picture = drawn(tmp_path, scene())
    assert picture.shape[1] == WIDTH
    assert picture[5, 5] == pytest.approx(rgb(BACKGROUND), abs=1)
    assert picture[-5, -5] == pytest.approx(rgb(BACKGROUND), abs=1)
    # A cube is a square in each of the planes: (16 − 2.8 − 4·0.18) / 3 inches of 150 pixels.
    grey = (np.abs(picture[400] - 128).max(axis=-1) <= 2).sum()
    assert grey == pytest.approx((16 - 2.8 - 4 * 0.18) * 150, rel=0.05)


@pytest.mark.parametrize("structure", ["liver", "spleen", "tumor", "aorta"])
def test_a_structure_is_covered_with_its_colour_and_nothing_else_is(tmp_path, structure):
    everywhere = (slice(4, 16),) * 3
    picture = drawn(tmp_path, scene(labels={structure: everywhere}))
    # 42 % of the colour over the middle grey.
    blend = 0.42 * rgb(COLOURS[structure]) + 0.58 * 128
    assert picture[168 + 300, 27 + 300] == pytest.approx(blend, abs=4)
    assert picture[168 + 30, 27 + 60] == pytest.approx([128] * 3, abs=4)


def test_right_is_left_and_the_head_is_on_top(tmp_path):
    # The liver at the patient's right, in front and near the head: x, y small and z large.
    corner = (slice(12, 20), slice(0, 8), slice(0, 8))
    picture = drawn(tmp_path, scene(labels={"liver": corner}))
    side = round((16 - 2.8 - 4 * 0.18) / 3 * 150)
    blend = 0.42 * rgb(COLOURS["liver"]) + 0.58 * 128
    for number in range(3):
        left = 27 + number * (side + 27)
        inside = picture[168 + round(0.2 * side), left + round(0.2 * side)]
        opposite = picture[168 + round(0.8 * side), left + round(0.8 * side)]
        assert inside == pytest.approx(blend, abs=4)
        assert opposite == pytest.approx([128] * 3, abs=4)


@pytest.mark.parametrize(("spacing_zyx_mm", "height"), [((1.0, 1.0, 1.0), 1.0), ((2.0, 1.0, 1.0), 2.0)])
def test_proportions_are_those_of_the_body(tmp_path, spacing_zyx_mm, height):
    picture = drawn(tmp_path, scene(spacing_zyx_mm=spacing_zyx_mm))
    grey = np.abs(picture - 128).max(axis=-1) <= 2
    side = round((16 - 2.8 - 4 * 0.18) / 3 * 150)
    coronal = grey[:, 27 + side + 27 + side // 4]
    assert coronal.sum() == pytest.approx(height * side, rel=0.05)


def test_the_truth_is_a_white_line(tmp_path):
    box = (slice(4, 16),) * 3
    alone = scene(labels={"liver": box})
    truth = np.roll(alone.labels, 3, axis=2)
    without, with_truth = drawn(tmp_path, alone), drawn(tmp_path, scene(labels={"liver": box}, truth=truth))
    assert share_of(with_truth[:, :1900], "#ffffff") > 2 * share_of(without[:, :1900], "#ffffff")


@pytest.mark.parametrize(
    ("plane", "shape"), [(Plane.AXIAL, (3, 4)), (Plane.CORONAL, (2, 4)), (Plane.SAGITTAL, (2, 3))]
)
def test_a_cut_is_one_plane_with_the_head_on_top(plane, shape):
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    picture = cut(volume, plane, 1)
    assert picture.shape == shape
    expected = {
        Plane.AXIAL: volume[1],
        Plane.CORONAL: volume[::-1, 1],
        Plane.SAGITTAL: volume[::-1, :, 1],
    }[plane]
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize(
    ("areas", "index"),
    [
        # Slices of two structures by their areas: what counts is the share of the largest.
        ({1: (4, 0, 0), 2: (0, 0, 1)}, 0),
        ({1: (4, 2, 0), 2: (0, 1, 1)}, 1),
        ({1: (0, 0, 4), 2: (1, 0, 1)}, 2),
        ({}, 1),
    ],
)
def test_the_plane_that_shows_most(areas, index):
    labels = np.zeros((3, 10, 10), np.uint8)
    for label, counts in areas.items():
        for z, count in enumerate(counts):
            labels[z, label, :count] = label
    assert most_informative(labels, Plane.AXIAL) == index


@pytest.mark.parametrize(
    ("margin", "rows", "columns"),
    [(0, (10, 30), (15, 40)), (4, (6, 34), (11, 44)), (100, (0, 40), (0, 50))],
)
def test_the_region_is_body_and_labels_with_a_margin_that_ends_at_the_edges(margin, rows, columns):
    hu = np.full((40, 50), -1000.0)
    hu[10:30, 15:35] = 0.0
    labelled = np.zeros((40, 50), bool)
    labelled[20, 39] = True
    found = body_region(hu, labelled, margin)
    assert (found.rows.start, found.rows.stop) == rows
    assert (found.columns.start, found.columns.stop) == columns


def test_a_table_of_one_row_is_no_body():
    hu = np.full((40, 50), -1000.0)
    hu[10:30, 15:35] = 0.0
    hu[38, 20:22] = 500.0
    assert body_region(hu, np.zeros((40, 50), bool), 0).rows == slice(10, 30)


@pytest.mark.parametrize("name", FLARE23.names)
def test_colours_are_six_digits(name):
    assert len(COLOURS[name]) == 7
    assert COLOURS[name][0] == "#"
    assert rgb(COLOURS[name]).max() <= 255


def trace(*quantities: str) -> Trace:
    times = np.arange(0.0, 10.1, 0.1)
    return Trace(
        times_s=times, values={name: np.full(times.size, 50.0) for name in quantities}, duration_s=10.0
    )


@pytest.mark.parametrize(
    ("quantities", "panels", "own", "whole"),
    [
        ((), 1, False, False),
        ((OWN_RAM,), 1, True, False),
        ((OWN_RAM, RAM), 1, True, True),
        ((GPU_USE,), 1, False, True),
        ((OWN_RAM, EXACT_CPU), 2, True, True),
        ((GPU, OWN_GPU, GPU_USE, RAM, OWN_RAM, EXACT_CPU, OWN_CPU), 4, True, True),
    ],
)
def test_curves_have_a_panel_for_what_was_taken(tmp_path, quantities, panels, own, whole):
    draw_curves(trace(*quantities), [], "a command", tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    # One inch and 1.95 for each panel, 150 pixels each.
    assert picture.shape[:2] == pytest.approx((150 * (1 + 1.95 * panels), 1500), abs=2)
    assert (share_of(picture, OWN_COLOUR) > 0) is own
    assert (share_of(picture, WHOLE_COLOUR) > 0) is whole


@pytest.mark.parametrize("rows", [1, 3])
def test_stages_are_bars_in_rows_of_their_own(tmp_path, rows):
    stages = [Stage(name=f"stage {i}", start_s=i, end_s=i + 2, case=i) for i in range(rows)]
    draw_curves(trace(), stages, "a command", tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert picture.shape[0] == pytest.approx(150 * (1 + 0.26 * rows + 0.15), abs=2)
    # Cases take turns with a dark and a light shade.
    assert (share_of(picture, "#a3adba") > 0.01) is (rows > 1)
    assert share_of(picture, "#4d5866") > 0.01


def test_no_stages_are_an_empty_picture(tmp_path):
    draw_stages([], tmp_path / "a.png")
    assert share_of(pixels(tmp_path / "a.png"), "#ffffff") == 1.0
