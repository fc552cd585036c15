"""Centre lines of tubes whose axis everybody sees."""

import numpy as np
import pytest

from eval.scoring.centre_lines import cl_dice
from eval.scoring.metrics import dice


def tube(length: int = 20, radius: int = 2, gap: tuple[int, int] | None = None) -> np.ndarray:
    """A square tube along x through the middle of a box."""
    mask = np.zeros((11, 11, length), np.bool_)
    mask[5 - radius : 6 + radius, 5 - radius : 6 + radius] = True
    if gap:
        mask[..., slice(*gap)] = False
    return mask


def curved_tube(radius_mm: float) -> np.ndarray:
    """Half a ring of 24 mm around the middle of a box's face: all that is near its centre line."""
    z, y, x = np.ogrid[-14:15, 0:40, -40:41]
    return (np.hypot(y, x) - 24) ** 2 + z**2 <= radius_mm**2


@pytest.mark.parametrize("radii_mm", [(3.2, 6.2), (6.2, 12.2)])
def test_the_width_of_a_curved_vessel_does_not_matter_either(radii_mm):
    thin, thick = map(curved_tube, radii_mm)
    assert dice(thin, thick) < 0.5
    assert cl_dice(thin, thick) > 0.99


def test_the_width_of_a_vessel_does_not_matter_but_a_gap_does():
    truth, thin = tube(radius=2), tube(radius=0)
    assert dice(thin, truth) < 0.1
    assert cl_dice(thin, tube(radius=0)) == 1.0
    # Each holds the other's centre line.
    assert cl_dice(thin, truth) == 1.0
    broken = tube(radius=0, gap=(5, 15))
    # All of what is left is right, and half of the line is there: 2 · 1 · ½ / 1½.
    assert cl_dice(broken, thin) == pytest.approx(2 / 3)


def test_empty_masks():
    empty = np.zeros((4, 4, 4), np.bool_)
    full = ~empty
    assert (cl_dice(empty, empty), cl_dice(empty, full), cl_dice(full, empty)) == (1.0, 0.0, 0.0)


def test_lines_that_never_meet():
    one, other = np.zeros((2, 5, 5, 9), np.bool_)
    one[0, 0], other[4, 4] = True, True
    assert cl_dice(one, other) == 0.0
