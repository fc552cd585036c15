"""Winners, and what single voxels settle by themselves, by hand."""

import numpy as np

from inference.restoration.candidates import classify, margin_of
from inference.restoration.winners import decide, fill_unseen, rule_of, window_rule_of
from model.manifest.fusion import CleanedGroupsFusion, MeanFusion
from model.manifest.output import Output, Sigmoid
from tests.inference.bundles import OUTPUT
from tests.inference.fakes import rule_for
from tests.inference.manifests import manifest


def test_decide_by_hand():
    probabilities = np.array([[0.5, 0.2, 0.4], [0.5, 0.3, 0.6], [0.0, 0.5, 0.7]], np.float32)
    assert decide(probabilities, rule_for()).tolist() == [0, 2, 2]
    assert decide(probabilities, rule_for("sigmoid")).tolist() == [0, 0, 3]
    assert decide(probabilities, rule_for("sigmoid", order=(2, 0, 1))).tolist() == [0, 0, 2]
    logits = probabilities - np.float32(0.5)
    assert decide(logits, rule_for(scores="logits")).tolist() == [0, 2, 2]
    assert decide(logits, rule_for("sigmoid", scores="logits")).tolist() == [0, 0, 3]


def found_of(values, rule):
    return classify(values, rule, margin_of(values, rule))


def test_classify_by_hand():
    probabilities = np.array([[0.9, 0.4, 0.1], [0.05, 0.35, 0.2], [0.05, 0.25, 0.7]], np.float32).reshape(
        3, 1, 1, 3
    )
    found = found_of(probabilities, rule_for())
    assert found.sure[0, 0].tolist() == [0, 255, 2]
    assert found.possible[0, 0, 0].tolist() == [0b001, 0b011, 0b100]
    assert found.ceiling is None
    found = found_of(probabilities, rule_for("sigmoid"))
    assert found.sure[0, 0].tolist() == [1, 0, 3]


def test_classify_logits_by_hand():
    logits = np.array([[30, 5, -7], [0, 5, -7.5], [22, -4, -18]], np.float32).reshape(3, 1, 1, 3)
    found = found_of(logits, rule_for(scores="logits"))
    assert found.sure[0, 0].tolist() == [0, 255, 0]  # 5 and 5 are not told apart.
    assert found.possible[0, 0, 0].tolist() == [0b101, 0b111, 0b011]  # Up to 10 below the winner.
    assert found.ceiling[0, 0].tolist() == [30, 5, -7]
    found = found_of(logits, rule_for("sigmoid", scores="logits", order=(2, 0, 1)))
    assert found.sure[0, 0].tolist() == [255, 2, 0]  # Channel 1 lies on the threshold in the first voxel.
    assert found.possible[0, 0, 0].tolist() == [0b111, 0b011, 0b000]


def test_channels_beyond_a_word_of_bits():
    logits = np.full((40, 1, 1, 1), -100, np.float32)
    logits[[0, 31, 32, 39]] = 3
    found = found_of(logits, rule_for(channels=40, scores="logits"))
    assert found.possible.dtype == np.uint32
    assert found.possible[:, 0, 0, 0].tolist() == [1 | 1 << 31, 1 | 1 << 7]


def test_rules_of_manifests():
    assert rule_of(manifest()) == rule_for(channels=len(OUTPUT.channels))
    assert rule_of(manifest(fusion=MeanFusion(of="logits"))).scores == "logits"
    assert rule_of(manifest(fusion=CleanedGroupsFusion())).scores == "probabilities"
    regions = {"label_set": "regions", "labels": {"whole": 1, "core": 2}, "channels": ("whole", "core")}
    sigmoid = manifest(output=Output(**regions, activation=Sigmoid()), fusion=MeanFusion(of="logits"))
    assert rule_of(sigmoid) == rule_for("sigmoid", 2, "logits", order=(0, 1))
    assert rule_of(manifest(output=Output(**regions, activation=Sigmoid(priority=(1, 0))))).order == (1, 0)


def test_windows_of_logits_stay_logits_where_members_are_averaged_as_probabilities():
    both = manifest(fusion=MeanFusion(of="probabilities", over_windows="logits"))
    assert (window_rule_of(both).scores, rule_of(both).scores) == ("logits", "probabilities")
    assert window_rule_of(manifest()) == rule_of(manifest())


def test_unseen_voxels_are_background():
    weight = np.array([1, 0], np.float32).reshape(2, 1, 1)
    for rule, expected in (
        (rule_for(), [1, 0, 0]),
        (rule_for(scores="logits"), [10, 0, 0]),
        (rule_for("sigmoid"), [0, 0, 0]),
        (rule_for("sigmoid", scores="logits"), [-10, -10, -10]),
    ):
        slab = np.zeros((3, 2, 1, 1), np.float32)
        slab[:, 0] = 0.25
        found = fill_unseen(slab, weight, rule)
        assert found[:, 0, 0, 0].tolist() == [0.25] * 3
        assert found[:, 1, 0, 0].tolist() == expected
        assert decide(found, rule)[1, 0, 0] == 0


def test_what_is_nearly_one_half_is_not_sure():
    nearly, surely = np.float32(0.50005), np.float32(0.5002)
    probabilities = np.array([[nearly, surely], [1 - nearly, 1 - surely]], np.float32).reshape(2, 1, 1, 2)
    assert found_of(probabilities, rule_for()).sure[0, 0].tolist() == [255, 0]
