"""A sound abdomen is not doubted; each thing that is wrong with one is named."""

from dataclasses import replace

import pytest

from inference.trust.organ_figures import OrganFigures
from inference.trust.organ_norms import NORMS, SOURCES, plausible_ml
from inference.trust.result_doubts import cut_off, guessed_sides, is_crumb, only_crumbs, result_doubts
from model.labels import ADRENALS, FLARE23, KIDNEYS, merged_channels
from model.manifest.output import Output

PLACES_ML = {
    "liver": ((60, -20, -70), 1500),
    "right kidney": ((-10, 40, -60), 170),
    "spleen": ((70, 40, 90), 200),
    "pancreas": ((20, 0, 10), 75),
    "aorta": ((0, 30, 5), 60),
    "inferior vena cava": ((0, 20, -20), 70),
    "right adrenal gland": ((45, 30, -30), 4),
    "left adrenal gland": ((45, 30, 35), 4),
    "gallbladder": ((20, -40, -50), 25),
    "esophagus": ((90, 20, 5), 15),
    "stomach": ((60, -20, 50), 300),
    "duodenum": ((0, -5, -30), 60),
    "left kidney": ((0, 40, 60), 170),
}
"""Centre (z, y, x) in mm and volume in mL."""


def organ(name, **changes):
    centre, volume = PLACES_ML[name]
    common = {
        "name": name,
        "label": FLARE23.ids[name],
        "volume_ml": volume,
        "extent_zyx_mm": (50.0, 50.0, 50.0),
        "centre_zyx_mm": centre,
        "touches_edge": name in ("aorta", "inferior vena cava", "esophagus"),
        "touches_end": name in ("aorta", "inferior vena cava", "esophagus"),
        "coarse_mean": 60.0,
        "agreement": 0.9,
    }
    return OrganFigures(**(common | changes))


def abdomen(without=(), **changed):
    """All organs, some left out, some with changes, by name with underscores."""
    changed = {name.replace("_", " "): changes for name, changes in changed.items()}
    return [organ(name, **changed.get(name, {})) for name in PLACES_ML if name not in without]


def doubts(organs, known=FLARE23.organs, **options):
    return result_doubts(organs, known, **({"body_area_cm2": 600.0} | options))


def test_a_sound_abdomen():
    assert doubts(abdomen()) == ()
    assert doubts(abdomen(without=["gallbladder", "esophagus"])) == ()


@pytest.mark.parametrize(
    ("organs", "said"),
    [
        (abdomen(without=["spleen"]), "no spleen, though what lies beside is whole"),
        (abdomen(without=["pancreas", "aorta"]), "no pancreas and aorta, though what lies beside is whole"),
        (abdomen(liver={"volume_ml": 300}), "liver of 300 mL (500 to 4000 in such a body)"),
        (abdomen(right_adrenal_gland={"volume_ml": 60}), "right adrenal gland of 60 mL (0.7 to 25 in such"),
        (abdomen(stomach={"volume_ml": 2.9}), "mere crumbs of stomach"),
        (abdomen(liver={"pieces": 2}), "liver in 2 large pieces"),
        (abdomen(spleen={"centre_zyx_mm": (70, 40, -90)}), "liver left of the spleen"),
        (abdomen(stomach={"centre_zyx_mm": (60, 90, 50)}), "stomach behind the left kidney"),
        (abdomen(liver={"centre_zyx_mm": (-80, -20, -70)}), "right kidney above the liver"),
        (abdomen(pancreas={"centre_zyx_mm": (400, 0, 10)}), "pancreas far from all others"),
        (abdomen(spleen={"coarse_mean": -700.0}), "spleen of -700 HU, which is not its tissue"),
        (abdomen(spleen={"agreement": 0.3}), "the members disagree (Dice of spleen 0.30)"),
        (abdomen(without=PLACES_ML.keys() - {"aorta", "esophagus"}), "hardly any abdominal organ was found"),
        ([], "hardly any abdominal organ was found (none)"),
    ],
)
def test_what_is_wrong_is_named(organs, said):
    (doubt,) = doubts(organs)
    assert said in doubt


def test_nothing_is_missing_beside_what_is_too_small_to_be_whole():
    (doubt,) = doubts(abdomen(without=["spleen"], left_kidney={"volume_ml": 20}))
    assert doubt.startswith("left kidney of 20 mL")


def test_a_kidney_may_reach_a_little_above_a_low_liver():
    """30 mm; from 40 on it is odd."""
    assert doubts(abdomen(liver={"centre_zyx_mm": (-40, -20, -70)})) == ()


@pytest.mark.parametrize("cut", ["liver", "left_kidney"])
def test_nothing_is_missing_beside_what_the_scan_cuts_off(cut):
    assert doubts(abdomen(without=["spleen"], **{cut: {"touches_end": True, "touches_edge": True}})) == ()


def test_crumbs_at_the_edge_are_what_is_in_view():
    assert doubts(abdomen(esophagus={"volume_ml": 0.05})) == ()


def test_crumbs_at_the_edge_lie_nowhere_in_particular():
    far = {"volume_ml": 0.042, "touches_edge": True, "centre_zyx_mm": (0, 40, 400)}
    assert doubts(abdomen(left_kidney=far)) == ()
    (doubt,) = doubts(abdomen(left_kidney=far | {"volume_ml": 30.0}))
    assert doubt == "left kidney far from all others"


@pytest.mark.parametrize(
    ("volume_ml", "mean", "is_doubted"),
    [
        (0.9, 842.0, True),
        (0.9, -700.0, True),
        (0.9, -150.0, False),
        (0.4, 842.0, False),
        (30.0, -150.0, True),
    ],
)
def test_a_piece_at_the_edge_is_doubted_where_it_is_bone_or_lung(volume_ml, mean, is_doubted):
    """In the bone of a raised arm; fat and lung at the border of a small one lower its mean."""
    piece = {"volume_ml": volume_ml, "coarse_mean": mean, "touches_edge": True, "touches_end": True}
    said = (f"right kidney of {mean:.0f} HU, which is not its tissue",) if is_doubted else ()
    assert doubts(abdomen(right_kidney=piece)) == said
    assert doubts(abdomen(right_kidney=piece), in_hu=False) == ()


def test_bone_is_named_where_hardly_any_organ_is_in_view():
    bone = organ("right kidney", volume_ml=0.9, coarse_mean=842.0, touches_edge=True)
    few, odd = doubts([bone, organ("aorta")])
    assert few.startswith("hardly any abdominal organ was found (aorta)")
    assert odd == "right kidney of 842 HU, which is not its tissue"


@pytest.mark.parametrize(
    ("name", "volume_ml", "is_one"),
    [
        ("stomach", 2.9, True),  # of at least 30 mL
        ("stomach", 3.1, False),
        ("gallbladder", 0.04, True),  # may be empty, but is then no organ that was found
        ("gallbladder", 0.06, False),
        ("duodenum", 0.04, True),  # of which no volume is published
    ],
)
def test_what_counts_as_a_crumb(name, volume_ml, is_one):
    assert is_crumb(organ(name, volume_ml=volume_ml), 600.0) is is_one


def test_a_lesion_is_never_a_crumb():
    assert not is_crumb(replace(organ("liver"), name="tumor", volume_ml=0.01), 600.0)


def test_crumbs_of_what_may_be_so_small_are_no_doubt():
    assert doubts(abdomen(gallbladder={"volume_ml": 0.01})) == ()


def test_of_many_organs_three_are_named():
    gone = ["pancreas", "aorta", "stomach", "duodenum", "inferior vena cava"]
    assert doubts(abdomen(without=gone))[0].startswith(
        "no pancreas, aorta, inferior vena cava and 2 more, though"
    )


def test_volumes_at_the_edge_are_judged_upwards_alone():
    assert doubts(abdomen(liver={"volume_ml": 300, "touches_edge": True})) == ()
    (doubt,) = doubts(abdomen(liver={"volume_ml": 5000, "touches_edge": True}))
    assert "liver of 5000 mL" in doubt


def test_members_that_agree_on_nothing_are_one_doubt():
    (doubt,) = doubts([replace(each, agreement=0.4) for each in abdomen()])
    assert doubt == "the members agree on little of it (mean Dice 0.40)"


def test_what_is_small_is_not_disputed():
    assert doubts(abdomen(left_adrenal_gland={"agreement": 0.0, "coarse_mean": -300.0, "pieces": 4})) == ()


def test_values_are_judged_in_hu_alone():
    assert doubts(abdomen(spleen={"coarse_mean": -700.0}), in_hu=False) == ()


def test_small_bodies_have_small_organs():
    assert plausible_ml(NORMS["liver"], 600.0) == plausible_ml(NORMS["liver"], None) == (500, 4000)
    assert plausible_ml(NORMS["liver"], 175.0) == pytest.approx((500 / 8**0.5, 4000))
    assert plausible_ml(NORMS["liver"], 1800.0) == pytest.approx((500, 4000 * 8**0.5))
    (size,) = doubts(abdomen(liver={"volume_ml": 200}), body_area_cm2=175.0)
    assert "a body of 175 cm² across, as a child's" in size


def test_other_structures_hear_of_members_alone():
    bones = ("left femur", "right femur")
    femur = replace(organ("liver"), name="left femur", pieces=3, volume_ml=9000, coarse_mean=900.0)
    assert doubts([femur], bones) == ()
    assert doubts([], bones) == ()
    (doubt,) = doubts([replace(femur, agreement=0.2)], bones)
    assert "left femur 0.20" in doubt


def test_a_bundle_that_knows_few_organs_may_find_none():
    assert doubts([], ("liver", "spleen")) == ()


def test_norms_are_within_what_is_plausible_and_have_sources():
    assert NORMS.keys() == set(FLARE23.organs)
    for name, norm in NORMS.items():
        assert set(norm.sources) <= SOURCES.keys()
        assert bool(norm.sources) == bool(norm.mean_ml) == bool(norm.plausible_ml), name
        if norm.mean_ml and norm.plausible_ml:
            assert norm.plausible_ml[0] < norm.mean_ml[0] <= norm.mean_ml[1] < norm.plausible_ml[1], name
        assert set(norm.beside or ()) <= NORMS.keys() - {name}


@pytest.mark.parametrize(
    ("found", "guessed"),
    [
        (["right kidney"], True),
        (["right kidney", "right adrenal gland"], True),
        (["right kidney", "left kidney"], True),
        (["right kidney", "aorta"], False),
        (["right kidney", "liver"], False),
        (["tumor"], False),
        ([], False),
    ],
)
def test_sides_without_anything_to_go_by(found, guessed):
    whole = Output(
        label_set="flare23",
        labels=dict(FLARE23.ids),
        channels=merged_channels(FLARE23),
        pairs=(KIDNEYS, ADRENALS),
        lesions=("tumor",),
    )
    organs = [replace(organ("liver"), name=name) for name in found]
    assert bool(guessed_sides(organs, whole)) == guessed


def test_sides_that_the_network_told_itself_are_not_guessed():
    own = Output(
        label_set="kidneys",
        labels={"right kidney": 1, "left kidney": 2},
        channels=("background", "right kidney", "left kidney"),
        pairs=(KIDNEYS,),
    )
    assert guessed_sides([organ("right kidney")], own) == ()


def test_a_bundle_of_kidneys_alone_is_doubted_for_one_side():
    merged = Output(
        label_set="kidneys",
        labels={"right kidney": 1, "left kidney": 2},
        channels=("background", "kidney"),
        pairs=(KIDNEYS,),
    )
    assert guessed_sides([organ("right kidney")], merged) != ()
    assert guessed_sides([organ("right kidney"), organ("left kidney")], merged) == ()


def test_organs_of_which_crumbs_alone_were_seen():
    """Labels 1, 2, 3 and 14 are liver, right kidney, spleen and tumor, which is no organ."""
    assert only_crumbs([], FLARE23) == only_crumbs([1, 3, 14], FLARE23) == ()
    assert only_crumbs([3, 1, 2], FLARE23) == (
        "mere crumbs of liver, right kidney and spleen, which were removed",
    )


def test_structures_that_the_region_cuts_off():
    assert cut_off([], FLARE23) == ()
    assert cut_off([1], FLARE23) == ("liver is cut off by the region that was looked at",)
    assert cut_off({14, 1}, FLARE23) == ("liver and tumor are cut off by the region that was looked at",)
