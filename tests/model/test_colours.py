"""The colours stay apart for readers with normal and with colour-deficient vision."""

import itertools

import numpy as np
import pytest

from model.colours import COLOURS, PALETTE, colours_of
from model.labels import FLARE23, LABEL_SETS, LabelSet

# Machado, Oliveira and Fernandes 2009, severity 1; on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
NEIGHBOURS = [
    ("liver", "gallbladder"), ("liver", "right kidney"), ("liver", "inferior vena cava"),
    ("liver", "stomach"), ("liver", "tumor"),
    ("spleen", "left kidney"), ("spleen", "stomach"), ("spleen", "pancreas"), ("aorta", "inferior vena cava"),
    ("aorta", "esophagus"),
    ("pancreas", "duodenum"), ("pancreas", "stomach"), ("pancreas", "tumor"), ("duodenum", "gallbladder"),
    ("esophagus", "stomach"),
    ("right kidney", "right adrenal gland"), ("left kidney", "left adrenal gland"),
    ("inferior vena cava", "duodenum"),
]  # fmt: skip


def lab(colour: str, vision: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(first: str, second: str, vision: str) -> float:
    return float(np.linalg.norm(lab(COLOURS[first], vision) - lab(COLOURS[second], vision)))


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart(vision):
    assert min(apart(a, b, vision) for a, b in itertools.combinations(FLARE23.names, 2)) > 17
    assert min(apart(a, b, vision) for a, b in NEIGHBOURS) > 26


def test_every_structure_has_a_colour_of_its_own():
    for labels in LABEL_SETS.values():
        colours = [COLOURS[name] for name in labels.names]
        if labels.name != "amos22":  # prostate/uterus shares the liver's, at the other end of the body
            assert len(set(colours)) == len(colours)


def test_structures_of_other_sets_take_what_is_left_of_the_palette():
    labels = LabelSet(name="own", ids={"cyst": 3, "liver": 1, "stent": 2})
    assert colours_of(labels) == {"liver": "#c04b4b", "stent": "#a06e00", "cyst": "#7c50fc"}
    assert PALETTE[:3] == ("#c04b4b", "#a06e00", "#7c50fc")


def test_large_sets_go_on_with_other_hues():
    labels = LabelSet(name="large", ids={f"bone {i}": i for i in range(1, 101)})
    colours = list(colours_of(labels).values())
    assert tuple(colours[:14]) == PALETTE
    assert len(set(colours)) == 100
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in colours)
