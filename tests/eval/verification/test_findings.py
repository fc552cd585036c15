"""The picture that a comparison leaves in a bundle."""

import numpy as np

from eval.verification import findings
from eval.verification.contenders import Case
from model.labels import FLARE23
from tests.eval.made import write


def test_the_picture_calls_labels_of_another_program_no_truth(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(findings, "draw", lambda scene, path: drawn.append(scene))
    image = write(tmp_path / "images" / "ct_0000.nii.gz", np.zeros((4, 5, 6), np.int16))
    for folder in ("ours", "theirs"):
        write(tmp_path / folder / "ct.nii.gz", np.ones((4, 5, 6), np.uint8))
    case = Case(name="ct", channels=(image,))
    findings.draw_worst(case, tmp_path / "ours", tmp_path / "theirs", FLARE23, tmp_path / "worst.png")
    (scene,) = drawn
    assert scene.truth_name == "reference"
    assert scene.title == "ct: the bundle's labels in colour, the reference's dashed"
