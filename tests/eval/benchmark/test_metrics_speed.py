import numpy as np
import pytest

from eval.__main__ import main
from eval.benchmark import metrics_speed as benchmark
from eval.benchmark.metrics_speed import challenge_to_time, synthetic_pair, time_ours, time_reference
from eval.scoring.challenges import LabelPair
from tests.eval.made import SPACING_ZYX_MM, disturbed, organs, surface_distance, write


def test_both_ways_give_the_same_scores():
    surface_distance()
    generator = np.random.default_rng(0)
    truth = organs(generator, 13)
    pair = LabelPair(prediction=disturbed(generator, truth), truth=truth, spacing_zyx_mm=SPACING_ZYX_MM)
    ours, theirs = (
        time_ours(pair, challenge_to_time(), with_hd95=True),
        time_reference(pair, challenge_to_time()),
    )
    for name, score in theirs[1].items():
        assert ours[1][name].dice == pytest.approx(score.dice)
        assert ours[1][name].hd95_mm == pytest.approx(score.hd95_mm)
        # The package looks at (z, y, x) arrays here, and its elements depend a little on the order of the
        # axes.
        assert ours[1][name].nsd == pytest.approx(score.nsd, abs=0.01)
    assert ours[0].wall_s > 0


def test_the_made_up_abdomen_has_all_organs(monkeypatch):
    monkeypatch.setattr(benchmark, "SHAPE_ZYX", (75, 128, 128))
    monkeypatch.setattr(benchmark, "SPACING_ZYX_MM", (5.0, 3.2, 3.2))
    pair = synthetic_pair()
    assert sorted(pair.truth_boxes) == sorted(pair.prediction_boxes) == list(range(1, 14))


def test_the_command_alone(tmp_path, capsys):
    generator = np.random.default_rng(0)
    paths = [str(write(tmp_path / f"{name}.nii.gz", organs(generator, 13))) for name in ("pred", "truth")]
    assert main(["benchmark", "metrics", "--pred", paths[0], "--truth", paths[1], "--alone"]) == 0
    assert "LeanSeg: DSC, NSD, HD95" in capsys.readouterr().out
    assert main(["benchmark", "metrics", "--pred", paths[0]]) == 2
    assert "belong together" in capsys.readouterr().err
