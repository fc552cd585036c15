"""What a split of left and right must satisfy, for tests on drawn and on real bodies."""

import itertools

import numpy as np

from inference.geometry import Geometry
from inference.imaging.orientation import Orientation, orient
from inference.imaging.volume import Volume, to_canonical
from inference.postprocessing.laterality import split_pairs
from inference.postprocessing.midline import Midline
from model.labels import FLARE23, LabelSet, channel_table, merged_channels
from model.manifest.output import Output, Sigmoid, Softmax


def output_of(labels: LabelSet, channels: tuple[str, ...], activation="softmax") -> Output:
    return Output(
        label_set=labels.name,
        labels=dict(labels.ids),
        channels=channels,
        pairs=labels.pairs,
        activation=Softmax() if activation == "softmax" else Sigmoid(),
    )


OUTPUT = output_of(FLARE23, merged_channels(FLARE23))
MERGE = channel_table(FLARE23, OUTPUT.channels)
SIDED = [FLARE23.ids[side] for pair in FLARE23.pairs for side in (pair.right, pair.left)]


def shares_right(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """For each side of a pair that is there, the share of its voxels that have its id."""
    return {FLARE23.name_of(i): float((found[truth == i] == i).mean()) for i in SIDED if (truth == i).any()}


def assert_split(truth: np.ndarray, geometry: Geometry, at_least: float = 1.0, body: Midline | None = None):
    found = split_pairs(MERGE[truth], geometry, OUTPUT, lambda: body)
    assert found.dtype == np.uint8
    assert found.shape == truth.shape
    assert np.array_equal(MERGE[found], MERGE[truth]), "a voxel left its organ"
    shares = shares_right(found, truth)
    assert min(shares.values(), default=1.0) >= at_least, shares


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation about world axis x, y or z."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = cos, -sin, sin, cos
    return matrix


def turned_arrays() -> list[Orientation]:
    return [
        Orientation(axes=axes, flipped=flipped)
        for axes in itertools.permutations(range(3))
        for flipped in itertools.product((False, True), repeat=3)
    ]


def check_all_orientations(truth: np.ndarray, geometry: Geometry):
    for stored in turned_arrays():
        volume = Volume(array=MERGE[stored.apply(truth)], geometry=orient(geometry, stored))
        canonical, orientation = to_canonical(volume)
        found = orientation.undo(split_pairs(canonical.array, canonical.geometry, OUTPUT))
        assert np.array_equal(found, stored.apply(truth)), stored
