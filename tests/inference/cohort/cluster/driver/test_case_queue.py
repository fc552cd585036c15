"""Who is given which case: sizes, speeds, lost workers, poisonous cases. Time is told by hand."""

import pytest

from inference.cohort.cluster.driver.case_queue import IN_HAND, CaseQueue, in_part
from inference.cohort.cluster.fates import Fate, Report, Task


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def task(case, size_bytes=100):
    return Task(case=case, images=(f"/{case}.nii",), size_bytes=size_bytes)


def queue_of(*sizes, clock, retries=2, workers="w"):
    queue = CaseQueue(
        [task("abcdefghijkl"[i], size) for i, size in enumerate(sizes)], retries=retries, clock=clock
    )
    for worker in workers:
        queue.join(worker)
    return queue


def finish(queue, worker, given, *, is_final=True):
    status = "segmented" if is_final else "failed"
    fate = Fate(case=given.case, images=given.images, status=status)
    return queue.take_back(worker, Report(fate=fate, is_final=is_final))


def test_the_largest_cases_come_first(clock):
    queue, order = queue_of(3, 9, 1, 9, clock=clock), []
    while (given := queue.give("w")) is not None:
        order.append((given.case, given.size_bytes))
        finish(queue, "w", given)
    assert [size for _, size in order] == [9, 9, 3, 1]
    assert {case for case, _ in order} == set("abcd")
    assert queue.is_empty


def test_a_worker_has_one_case_at_work_and_the_next_on_their_way(clock):
    queue = queue_of(*[5] * 6, clock=clock)
    assert [queue.give("w") is not None for _ in range(IN_HAND + 1)] == [True] * IN_HAND + [False]


def test_a_worker_of_unknown_speed_among_others_is_tried_with_one_small_case(clock):
    queue = queue_of(1, 2, 3, 4, 5, 6, clock=clock, workers="xy")
    trials = [queue.give("x"), queue.give("y")]
    assert [given.size_bytes for given in trials] == [1, 2]
    assert queue.give("x") is None
    clock.now_s = 1.0
    finish(queue, "x", trials[0])
    assert queue.give("x").size_bytes == 6


def test_a_slow_worker_is_not_given_what_the_others_would_have_done_earlier(clock):
    """One does 10 bytes a second, the other 1: the last 10 bytes would be done in 2 s or in 10."""
    queue = queue_of(*[10] * 12, clock=clock, workers="fs")
    slow = queue.give("s")
    for second in range(1, 10):
        fast = queue.give("f")
        clock.now_s = float(second)
        finish(queue, "f", fast)
    assert queue.give("f") is not None
    clock.now_s = 10.0
    finish(queue, "s", slow)
    assert queue.give("s") is None
    assert not queue.is_empty
    assert queue.give("f") is not None


def test_equal_workers_share_the_last_cases(clock):
    queue = queue_of(*[10] * 4, clock=clock, workers="xy")
    x, y = queue.give("x"), queue.give("y")
    clock.now_s = 10.0
    finish(queue, "x", x)
    finish(queue, "y", y)
    assert queue.give("x") is not None
    assert queue.give("y") is not None


def test_a_case_that_is_alone_when_its_worker_dies_again_is_set_aside(clock):
    queue = queue_of(3, 2, 1, clock=clock)
    assert [queue.give("w").case for _ in range(2)] == ["a", "b"]
    assert queue.lose("w", blame=True) == []
    queue.join("v")
    suspect = queue.give("v")
    assert (suspect.case, suspect.tries, suspect.kills) == ("a", 2, 1)
    assert queue.give("v") is None, "nothing else beside a suspect"
    (poison,) = queue.lose("v", blame=True)
    assert (poison.case, poison.tries, poison.kills) == ("a", 2, 2)
    queue.join("u")
    assert queue.give("u").case == "b"
    assert queue.give("u") is None
    finish(queue, "u", task("b"))
    assert queue.give("u").case == "c"


def test_a_case_whose_machine_went_is_tried_again_without_blame(clock):
    queue = queue_of(5, clock=clock, retries=1)
    queue.give("w")
    assert queue.lose("w", blame=False) == []
    queue.join("v")
    again = queue.give("v")
    assert (again.tries, again.kills) == (2, 0)
    (given_up,) = queue.lose("v", blame=False)
    assert (given_up.tries, given_up.kills) == (2, 0)
    assert queue.is_empty


def test_a_case_whose_storage_failed_is_tried_as_often_as_allowed(clock):
    queue = queue_of(5, clock=clock, retries=2)
    said = []
    while (given := queue.give("w")) is not None:
        clock.now_s += 1
        said.append(finish(queue, "w", given, is_final=False))
    assert [each and each.tries for each in said] == [None, None, 3]
    assert queue.is_empty


def test_what_a_worker_says_after_it_was_lost_counts_no_more(clock):
    queue = queue_of(5, clock=clock)
    given = queue.give("w")
    queue.lose("w", blame=False)
    assert finish(queue, "w", given) is None
    assert not queue.is_empty


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_are_all_cases_once_and_alike_in_size(parts):
    tasks = [task(str(i), 10 * i) for i in range(16)]
    cut = [in_part(tasks, (k, parts)) for k in range(1, parts + 1)]
    assert sorted(each.case for part in cut for each in part) == sorted(each.case for each in tasks)
    assert {len(part) for part in cut} <= {16 // parts, 16 // parts + 1}
    assert in_part(tasks, None) == tasks
