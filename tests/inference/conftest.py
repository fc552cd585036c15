import itertools

import numpy as np
import pytest


def every_orientation():
    """The 48 directions whose index axes run along world axes: six permutations by eight flips."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield tuple(np.eye(3)[:, list(axes)].dot(np.diag(signs)).ravel())


@pytest.fixture(params=list(every_orientation()), ids=lambda d: "".join(f"{n:+.0f}" for n in d if n))
def direction48(request):
    return request.param


@pytest.fixture(scope="session")
def oblique():
    """An orthonormal direction that is turned about all axes, left-handed."""
    q = np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.15, 1.0, 0.3], [0.1, -0.25, 1.0]]))[0]
    return tuple((q * np.sign(np.diag(q)) * (1, 1, -1)).ravel())
