import numpy as np
import pytest

from training.phantom.case import phantom_case

COARSE = (5.0, 4.0, 4.0)


@pytest.fixture(scope="session")
def cases():
    """Three whole abdomens, coarse enough to be quick."""
    return [
        phantom_case(np.random.default_rng([5, i]), spacing_zyx_mm=COARSE, coverage="abdomen")
        for i in range(3)
    ]
