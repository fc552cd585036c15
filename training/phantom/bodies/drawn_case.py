"""One synthetic case of any kind: over a label map, drawn altogether, or of another part of the body."""

from collections.abc import Sequence

import numpy as np

from training.phantom.bodies.body import Body
from training.phantom.bodies.body_case import body_case
from training.phantom.bodies.elsewhere import elsewhere_case
from training.phantom.case import PhantomCase, phantom_case
from training.phantom.maps import AnatomyMap


def draw_case(
    rng: np.random.Generator,
    bodies: Sequence[AnatomyMap | Body],
    *,
    anatomy_share: float,
    elsewhere_share: float,
    coverage: str | None = None,
    spacing_zyx_mm: tuple[float, float, float] | None = None,
) -> PhantomCase:
    """Draw a kind of case, and the case.

    Args:
        rng: source of all randomness; the same state gives the same case.
        bodies: label maps to paint over; where there are none, all cases are drawn.
        anatomy_share: chance of a case over a label map, 0 to 1, where it is none of another part.
        elsewhere_share: chance of a case of another part of the body, 0 to 1.
        coverage: examination (`case.COVERAGES`); None draws one.
        spacing_zyx_mm: voxel spacing of drawn cases; None draws one.
    """
    body = bodies[int(rng.integers(len(bodies)))] if bodies and rng.random() < anatomy_share else None
    if elsewhere_share and rng.random() < elsewhere_share:
        return elsewhere_case(rng)
    if isinstance(body, Body):
        donors = [b for b in bodies if isinstance(b, Body) and b is not body]
        return body_case(rng, body, donors=donors, coverage=coverage)
    return phantom_case(rng, anatomy=body, coverage=coverage, spacing_zyx_mm=spacing_zyx_mm)
