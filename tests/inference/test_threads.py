"""Parts cover everything once, in order, whatever the number of threads."""

import threading

import pytest

from inference.threads import ONE_THREAD, Threads, Turns


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_parts_cover_everything_once_in_order(count, size):
    parts = Threads(count).spread(lambda first, stop: list(range(first, stop)), size)
    assert [item for part in parts for item in part] == list(range(size))
    assert len(parts) == min(count, size)


def test_parts_run_at_the_same_time():
    together = threading.Barrier(2)
    Threads(2).spread(lambda first, stop: together.wait(20), 2)


def test_an_error_in_a_part_is_not_lost():
    with pytest.raises(ZeroDivisionError):
        Threads(2).spread(lambda first, stop: 1 / (stop - 2), 2)


def test_all_processors_by_default():
    assert Threads().wanted == 0
    assert Threads().count >= 1


def test_one_thread_is_the_callers():
    here = ONE_THREAD.spread(lambda first, stop: threading.current_thread(), 9)
    assert here == [threading.current_thread()]


def test_threads_are_made_once_and_used_again():
    threads = Threads(2)
    first, second = (threads.spread(lambda first, stop: threading.get_ident(), 2) for _ in range(2))
    assert first == second
    assert len(set(first)) == 2


def test_turns_do_not_overlap():
    """The second thread begins while the first has its turn, and has come no farther when that ends."""
    turns, begun, said = Turns(), threading.Event(), []

    def second():
        begun.set()
        with turns.turn():
            said.append("second")

    thread = threading.Thread(target=second)
    with turns.turn():
        thread.start()
        assert begun.wait(20)
        said.append("first")
    thread.join(20)
    assert said == ["first", "second"]


def test_a_thread_does_not_wait_for_itself():
    turns = Turns()
    with turns.turn(), pytest.raises(RuntimeError, match="end that case first"), turns.turn():
        pass
    with turns.turn():
        pass


def test_a_turn_ends_with_an_error():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn():
        raise ZeroDivisionError
    with turns.turn():
        pass
