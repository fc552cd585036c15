"""Parts cover everything once, in order, whatever the number of threads."""

import threading

import pytest

from inference import threads as workers
from inference.threads import spread, threads, use_threads


@pytest.fixture(autouse=True)
def restore_threads():
    yield
    use_threads(0)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_parts_cover_everything_once_in_order(count, size):
    use_threads(count)
    parts = spread(lambda first, stop: list(range(first, stop)), size)
    assert [item for part in parts for item in part] == list(range(size))
    assert len(parts) == min(count, size)


def test_parts_run_at_the_same_time():
    use_threads(2)
    together = threading.Barrier(2)
    spread(lambda first, stop: together.wait(20), 2)


def test_an_error_in_a_part_is_not_lost():
    use_threads(2)
    with pytest.raises(ZeroDivisionError):
        spread(lambda first, stop: 1 / (stop - 2), 2)


def test_all_processors_by_default():
    use_threads(0)
    assert threads() >= 1
    assert workers._chosen == 0
