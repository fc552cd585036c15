"""Left and right on two real bodies: merged and split again, all must be where it was."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Geometry, as_direction
from inference.imaging.orientation import orient, orientation_of
from inference.imaging.reading import read_volume
from inference.imaging.volume import to_canonical
from model.labels import FLARE23
from tests.inference.bodies import LEFT, RIGHT, RIGHT_ADRENAL
from tests.inference.splits import SIDED, assert_split, check_all_orientations, rotation
from tests.places import real_data


@pytest.fixture(scope="module", params=["ts_s0327", "ts_s0328"])
def body(request) -> tuple[np.ndarray, Geometry]:
    """A real body at 3 mm in canonical orientation: labels with FLARE23 ids, and their grid."""
    volume, _ = to_canonical(read_volume(real_data(f"label_maps/{request.param}_label13.nii.gz")))
    return np.ascontiguousarray(volume.array).astype(np.uint8), volume.geometry


def drop(labels: np.ndarray, *names: str) -> np.ndarray:
    gone = np.zeros(256, bool)
    gone[[FLARE23.ids[name] for name in names]] = True
    return np.where(gone[labels], np.uint8(0), labels)


def cut(
    labels: np.ndarray, geometry: Geometry, axis: int, start: int, stop: int
) -> tuple[np.ndarray, Geometry]:
    part = labels[(slice(None),) * axis + (slice(start, stop),)]
    corner = [0, 0, 0]
    corner[axis] = start
    return part, replace(geometry, size_zyx=part.shape, origin_xyz_mm=tuple(geometry.to_world(corner)))


LOSSES = {
    "all": (),
    "no aorta": ("aorta",),
    "no vessel": ("aorta", "inferior vena cava"),
    "no vessel, no right kidney": ("aorta", "inferior vena cava", RIGHT),
    "no left kidney": (LEFT,),
    "no kidney": (LEFT, RIGHT),
    "nothing on the right": (RIGHT, RIGHT_ADRENAL),
    "kidneys and adrenals only": tuple(n for n in FLARE23.organs if "kidney" not in n and "adrenal" not in n),
}


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
def test_real_body(body, lost):
    labels, geometry = body
    assert_split(drop(labels, *lost), geometry, 0.999)


@pytest.mark.parametrize("lost", [(), ("aorta",), ("aorta", RIGHT), (LEFT,)], ids="-".join)
@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_real_body_turned_in_plane(body, degrees, lost):
    labels, geometry = body
    turned = replace(geometry, direction=as_direction(rotation(2, degrees) @ geometry.matrix))
    orientation = orientation_of(turned)
    assert_split(orientation.apply(drop(labels, *lost)), orient(turned, orientation), 0.999)


@pytest.mark.parametrize("lost", [(), ("aorta", "inferior vena cava")], ids=["all", "no vessel"])
@pytest.mark.parametrize("slices", [1, 4, 12])
def test_real_body_in_slabs(body, slices, lost):
    labels, geometry = body
    held = np.flatnonzero(np.isin(labels, SIDED).any(axis=(1, 2)))
    for start in range(held[0], held[-1], max(slices, 4)):
        assert_split(*cut(drop(labels, *lost), geometry, 0, start, start + slices), 0.999)


@pytest.mark.parametrize("lost", [(), ("aorta", "inferior vena cava")], ids=["all", "no vessel"])
def test_real_body_one_side_in_view(body, lost):
    labels, geometry = body
    middle = int(np.mean([np.nonzero(labels == FLARE23.ids[side])[2].mean() for side in (RIGHT, LEFT)]))
    for start, stop in ((0, middle), (middle, labels.shape[2])):
        assert_split(*cut(drop(labels, *lost), geometry, 2, start, stop), 0.999)


def test_real_body_in_all_48_orientations(body):
    labels, geometry = body
    held = np.flatnonzero(np.isin(labels, SIDED).any(axis=(1, 2)))
    slab, grid = cut(labels, geometry, 0, held[0], held[-1])
    coarse = slab[:, ::2, ::2]
    z, y, x = grid.spacing_zyx_mm
    check_all_orientations(coarse, replace(grid, size_zyx=coarse.shape, spacing_zyx_mm=(z, 2 * y, 2 * x)))
