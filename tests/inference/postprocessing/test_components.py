"""Clean-up steps on label maps small enough to be checked by eye."""

import numpy as np
import pytest

from inference.geometry import Box
from inference.postprocessing.components import clean_up, kept, largest_part, longest_run, without_small_parts
from inference.postprocessing.label_statistics import find_labels
from inference.postprocessing.runs import fill, find_runs
from model.labels import FLARE23, look_up
from model.manifest.clean_up import (
    LargestComponent,
    LongestRun,
    MinComponentVolume,
    MinVoxels,
    MinWholeVolume,
    NearOtherStructures,
)

ONE_MM = (1.0, 1.0, 1.0)
LIVER, SPLEEN, TUMOR = FLARE23.ids["liver"], FLARE23.ids["spleen"], FLARE23.ids["tumor"]


def slices(*rows: str) -> np.ndarray:
    """A mask of one slice a row, one voxel a character; `#` is set. Row 0 is the lowest slice."""
    return np.array([[[letter == "#" for letter in row]] for row in rows])


def left(mask: np.ndarray, judge) -> np.ndarray:
    """The voxels of a mask whose runs `judge` keeps."""
    runs = find_runs(mask.astype(np.uint8))
    stays = np.zeros(mask.shape, np.uint8)
    fill(stays, runs.where(judge(runs)), 1)
    return stays.astype(bool)


def clean(labels: np.ndarray, *steps, spacing=ONE_MM) -> np.ndarray:
    return clean_up(labels, spacing, steps, FLARE23)


def largest(*structures, **changes):
    return LargestComponent(structures=structures, **changes)


# Parts
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("##.#", "##..", "...."), ("##..", "##..", "....")),
        (("#...", ".#..", "..#."), ("#...", ".#..", "..#.")),  # corners touch
        (("#.#.", "....", "...."), ("#...", "....", "....")),  # the first of equals
        (("....",), ("....",)),
        (("####",), ("####",)),
    ],
)
def test_largest_part(before, after):
    assert np.array_equal(left(slices(*before), largest_part), slices(*after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((".", "#", "#", ".", "#", "#", "#", "."), (".", ".", ".", ".", "#", "#", "#", ".")),
        (("#", "#", ".", "#"), ("#", "#", ".", ".")),
        (
            ("#..#", "...#", "....", ".##."),
            ("#..#", "...#", "....", "...."),
        ),  # parts side by side stay together
        (("#..", "...", "##."), ("...", "...", "##.")),  # of equal runs the one with more voxels
        (("#..", "...", "#.."), ("#..", "...", "...")),  # then the lower one
        (("###",), ("###",)),
        (("...",), ("...",)),
    ],
)
def test_longest_run(before, after):
    assert np.array_equal(left(slices(*before), longest_run), slices(*after))


@pytest.mark.parametrize(
    ("least", "after"),
    [(1, "#.##.###"), (2, "..##.###"), (2.5, ".....###"), (3, ".....###"), (4, "........")],
)
def test_small_parts_go(least, after):
    found = left(slices("#.##.###"), lambda runs: without_small_parts(runs, least))
    assert np.array_equal(found, slices(after))


@pytest.mark.parametrize(("ml", "after"), [(0.002, "#.##.##."), (0.003, "#......."), (1, "#.......")])
def test_small_parts_go_that_nothing_cuts_off(ml, after):
    """Parts of one, two and one voxels of 1 mm3; the image ends at the first, and at none of the others."""
    labels = np.zeros((3, 3, 8), np.uint8)
    labels[1, 1] = slices("#.##.##.")[0, 0] * LIVER
    found = clean(labels, MinWholeVolume(structures=("liver",), ml=ml))
    assert np.array_equal(found[1, 1] > 0, slices(after)[0, 0])


@pytest.mark.parametrize(
    "where", [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2), (1, 1, 1)]
)
def test_a_part_at_any_side_of_the_image_may_be_cut_off(where):
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[where] = LIVER
    found = clean(labels, MinWholeVolume(structures=("liver",), ml=1))
    assert found.any() == (where != (1, 1, 1))


def test_each_kind_of_step_alone():
    """Six voxels in all, four of them in the largest part."""
    names = {"structures": ("liver",)}

    def voxels(step, voxel_mm3=1.0):
        return left(slices("####.##"), lambda runs: kept(runs, voxel_mm3, step)).sum()

    assert voxels(LargestComponent(**names)) == 4
    assert voxels(LongestRun(**names)) == 6
    assert voxels(MinVoxels(**names, voxels=6)) == 6
    assert voxels(MinVoxels(**names, voxels=7)) == 0
    assert voxels(MinComponentVolume(**names, mm3=3.0)) == 4
    assert voxels(MinComponentVolume(**names, mm3=4.0), voxel_mm3=2.0) == 6
    assert voxels(MinWholeVolume(**names, ml=1.0)) == 6  # A single row touches every side.
    assert voxels(NearOtherStructures(**names, distance_mm=1.0)) == 6


LARGEST, FIVE = largest("liver"), MinVoxels(structures=("liver",), voxels=5)


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((LARGEST, FIVE), 0),  # fewer than five remain after the first step, so all go
        ((FIVE, LARGEST), 4),
        ((FIVE,), 6),
        ((LARGEST, MinVoxels(structures=("liver",), voxels=4)), 4),
        ((MinVoxels(structures=("liver",), voxels=6), MinComponentVolume(structures=("liver",), mm3=3.0)), 4),
        ((), 6),
    ],
)
def test_steps_follow_their_order(steps, left):
    """Six voxels in all, four of them in the largest part."""
    labels = slices("####.##").astype(np.uint8) * LIVER
    assert np.count_nonzero(clean(labels, *steps)) == left


# Label maps
# ----------------------------------------------------------------------------------------------------


def test_only_named_structures_change():
    labels = np.zeros((3, 4, 9), np.uint8)
    labels[:, :2, 0:2], labels[0, 0, 5] = LIVER, LIVER
    labels[:, 3, 0:2], labels[0, 3, 5] = SPLEEN, SPLEEN
    cleaned = clean(labels, largest("liver"))
    expected = labels.copy()
    expected[0, 0, 5] = 0
    assert np.array_equal(cleaned, expected)
    assert labels[0, 0, 5] == LIVER, "the input stays as it was"


def test_another_organ_in_the_box_stays():
    labels = np.full((3, 3, 3), LIVER, np.uint8)
    labels[1, 1, 1] = SPLEEN
    labels[0, 0, 0] = TUMOR
    cleaned = clean(labels, MinVoxels(structures=("liver",), voxels=100))
    assert sorted(np.unique(cleaned)) == [0, SPLEEN, TUMOR]


@pytest.mark.parametrize(("voxels", "left"), [(99, 0), (100, 100)])
def test_tumor_of_under_100_voxels_in_total_goes(voxels, left):
    """Two parts count together (FLARE23 low-resource ensemble)."""
    labels = np.zeros((4, 10, 20), np.uint8)
    labels.reshape(-1)[:50] = TUMOR
    labels.reshape(-1)[400 : 400 + voxels - 50] = TUMOR
    assert np.count_nonzero(clean(labels, MinVoxels(structures=("tumor",), voxels=100))) == left


@pytest.mark.parametrize(
    ("spacing", "parts"), [((1.0, 1.0, 1.0), 1), ((2.0, 1.0, 1.0), 2), ((0.5, 0.5, 0.5), 0)]
)
def test_minimum_volume_is_in_mm3(spacing, parts):
    """Parts of 4 and 8 voxels against 8 mm³."""
    labels = np.zeros((1, 1, 20), np.uint8)
    labels[0, 0, :4] = labels[0, 0, 10:18] = LIVER
    cleaned = clean(labels, MinComponentVolume(structures=("liver",), mm3=8.0), spacing=spacing)
    assert np.count_nonzero(np.diff((cleaned.ravel() > 0).astype(int), append=0) < 0) == parts


def _map(*rows: str) -> np.ndarray:
    """One slice; L liver, S spleen, T tumor, . background."""
    ids = {"L": LIVER, "S": SPLEEN, "T": TUMOR, ".": 0}
    return np.array([[[ids[letter] for letter in row] for row in rows]], np.uint8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("LLLLL", "LTTLL", "LLTLL"), ("LLLLL", "LLLLL", "LLLLL")),
        (("..T.L",), ("....L",)),  # nothing around it
        (("LLTSS", "LLTLL"), ("LLLSS", "LLLLL")),  # three ends at the liver, one at the spleen
        (("LT..",), ("L...",)),  # background wins of equals
        (("TLL",), (".LL",)),  # the image's edge is background
        (("LTTTTL",), ("LTTTTL",)),  # large enough
        (("LTL.T.", "......", "SSTTTS"), ("LLL...", "......", "SSTTTS")),  # each part by itself
    ],
)
def test_a_small_part_becomes_what_is_around_it(before, after):
    step = MinComponentVolume(structures=("tumor",), mm3=3.5, becomes="surroundings")
    if "STTTS" in before[-1]:
        step = MinComponentVolume(structures=("tumor",), mm3=3.0, becomes="surroundings")
    assert np.array_equal(clean(_map(*before), step), _map(*after))
    assert not (clean(_map(*before), MinComponentVolume(structures=("tumor",), mm3=9.0)) == TUMOR).any()


def test_later_steps_count_what_became_of_a_part():
    """Liver of 3 voxels and what was a tumor of 2 are 5: above the least of 4."""
    steps = (
        MinComponentVolume(structures=("tumor",), mm3=3.0, becomes="surroundings"),
        MinVoxels(structures=("liver",), voxels=5),
    )
    assert np.array_equal(clean(_map("LTTLL"), *steps), _map("LLLLL"))
    assert not (clean(_map(".TTLL"), *steps) == LIVER).any()


def test_a_crumb_of_an_organ_becomes_what_is_around_it():
    labels = _map("LLLLL", "LLSLL", "LLLLL")
    labels = np.pad(labels, 1)
    step = MinWholeVolume(structures=("spleen",), ml=0.002, becomes="surroundings")
    assert (clean(labels, step) == LIVER).sum() == 15


def test_a_step_for_an_unknown_structure():
    with pytest.raises(ValueError, match="flare23 has no heart"):
        clean(np.zeros((2, 2, 2), np.uint8), largest("heart", "liver"))


def test_a_structure_that_was_not_found():
    labels = np.full((2, 2, 2), SPLEEN, np.uint8)
    for together in (False, True):
        steps = largest("liver", together=together), MinVoxels(structures=("liver",), voxels=5)
        assert np.array_equal(clean(labels, *steps), labels)


def side_by_side() -> np.ndarray:
    """Liver and spleen that touch, 3 and 2 voxels; beyond a gap 4 of liver, beyond another 1 of tumor."""
    labels = np.zeros((1, 1, 14), np.uint8)
    labels[0, 0, :3], labels[0, 0, 3:5], labels[0, 0, 6:10], labels[0, 0, 12] = LIVER, SPLEEN, LIVER, TUMOR
    return labels


def test_structures_taken_one_by_one_or_as_one():
    """One by one the 4 voxels of liver are its largest part; together the 5 voxels of both are."""
    apart, together = side_by_side(), side_by_side()
    apart[0, 0, :3] = 0
    together[0, 0, 6:10] = 0
    assert np.array_equal(clean(side_by_side(), largest("liver", "spleen")), apart)
    assert np.array_equal(clean(side_by_side(), largest("liver", "spleen", together=True)), together)


def test_what_is_not_named_does_not_count_when_structures_are_taken_as_one():
    """The tumor would join the parts if it counted, and stays whatever becomes of them."""
    labels = side_by_side()
    labels[0, 0, 5] = TUMOR
    expected = labels.copy()
    expected[0, 0, 6:10] = 0
    assert np.array_equal(clean(labels, largest("liver", "spleen", together=True)), expected)
    every = largest("liver", "spleen", "tumor", together=True)
    expected = labels.copy()
    expected[0, 0, 12] = 0
    assert np.array_equal(clean(labels, every), expected)


def test_later_steps_see_what_earlier_ones_left():
    """As one, liver and spleen keep 5 voxels; then the liver has 3, which may be too few."""
    steps = largest("liver", "spleen", together=True), MinVoxels(structures=("liver", "spleen"), voxels=2)
    assert np.unique(clean(side_by_side(), *steps)).tolist() == [0, LIVER, SPLEEN, TUMOR]
    steps = steps[0], MinVoxels(structures=("liver",), voxels=4)
    assert np.unique(clean(side_by_side(), *steps)).tolist() == [0, SPLEEN, TUMOR]


# Tumor and organs
# ----------------------------------------------------------------------------------------------------


def body_with_tumors(*at_x: int) -> np.ndarray:
    """Liver at x = 0 to 9, tumor cubes of 3 voxels that begin at the given x."""
    labels = np.zeros((12, 12, 80), np.uint8)
    labels[:, :, :10] = LIVER
    for x in at_x:
        labels[4:7, 4:7, x : x + 3] = TUMOR
    return labels


def near(distance_mm):
    return NearOtherStructures(structures=("tumor",), distance_mm=distance_mm)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (3.0, 3.0, 1.0)])
@pytest.mark.parametrize(
    ("reach", "stay"), [(5.0, [10]), (20.0, [10, 22]), (40.0, [10, 22, 40]), (100.0, [10, 22, 40, 70])]
)
def test_tumors_far_from_organs_go(reach, stay, spacing):
    labels = body_with_tumors(10, 22, 40, 70)
    cleaned = clean(labels, near(reach), spacing=spacing)
    assert np.array_equal(cleaned, body_with_tumors(*stay))
    for x in (10, 22, 40, 70):  # Each by itself: where one lies near, what is looked at holds the liver.
        kept_alone = body_with_tumors(*(place for place in stay if place == x))
        assert np.array_equal(clean(body_with_tumors(x), near(reach), spacing=spacing), kept_alone)


def test_a_tumor_14_mm_away_is_within_20():
    assert np.array_equal(clean(body_with_tumors(24), near(20.0)), body_with_tumors(24))


def test_a_distance_of_just_the_reach_is_near():
    """Voxels of 3 mm are blocks of their own: three steps are 9 mm, eleven are 33."""
    labels = body_with_tumors(12, 20)
    assert np.array_equal(clean(labels, near(9.0), spacing=(3.0, 3.0, 3.0)), body_with_tumors(12))


def test_a_part_that_reaches_an_organ_stays_whole():
    labels = body_with_tumors(40)
    labels[5, 5, 10:79] = TUMOR
    assert np.array_equal(clean(labels, near(4.0)), labels)


def test_without_organs_nothing_is_far():
    labels = body_with_tumors(30)
    labels[labels == LIVER] = 0
    assert np.array_equal(clean(labels, near(4.0)), labels)


def test_what_is_no_organ_holds_no_tumor():
    """A crumb of liver beside the tumor holds it, unless a step before removes the crumb."""
    labels = body_with_tumors(60)
    labels[5, 5, 64] = LIVER
    assert np.array_equal(clean(labels, largest("liver"), near(10.0)), body_with_tumors())
    assert np.array_equal(clean(labels, near(10.0), largest("liver")), body_with_tumors(60))


# What a map holds
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (2, 3, 4), (7, 9, 11)])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_found_labels_are_those_of_numpy(shape, share):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(shape) < share, rng.choice([1, 14, 255], shape), 0).astype(np.uint8)
    found = find_labels(find_runs(labels))
    assert list(found) == [int(i) for i in np.unique(labels) if i]
    for label, here in found.items():
        places = np.nonzero(labels == label)
        assert here.voxels == len(places[0])
        assert here.box.start_zyx == tuple(p.min() for p in places)
        assert here.box.stop_zyx == tuple(p.max() + 1 for p in places)
        assert here.centre_zyx == pytest.approx([p.mean() for p in places])


def test_found_labels_of_a_turned_view():
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 2:4, 3:6] = 9
    found = find_labels(find_runs(labels.transpose(2, 0, 1)[::-1]))
    assert found[9].box == Box(start_zyx=(1, 1, 2), stop_zyx=(4, 2, 4))


def test_look_up():
    rng = np.random.default_rng(1)
    labels, table = rng.integers(0, 256, (3, 4, 5), np.uint8), rng.permutation(256).astype(np.uint8)
    assert np.array_equal(look_up(table, labels[:, ::-1]), table[labels[:, ::-1]])
