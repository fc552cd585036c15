"""A cohort in no time: the queue of the driver, with workers that only have a speed.

    python -m tests.inference.cohort.cluster.queue_simulation 1000000 100

prints what docs/scaling.md says of a million CTs.
"""

import heapq
import random
import sys
import time
from dataclasses import dataclass

from inference.cohort.cluster.case_queue import CaseQueue
from inference.cohort.cluster.fates import Fate, Report, Task

LOOKS_S = 5.0
"""Seconds between two looks at workers that were given nothing; the driver's own are shorter."""


@dataclass
class Simulated:
    """How a cohort went."""

    hours: float
    """Until the last case is done."""
    least_hours: float
    """All bytes by all speeds: nobody could do it in less."""
    busy: float
    """Share of their time for which workers were at work, all together."""
    most_in_hand: int


def simulate(sizes, seconds_each, cost=lambda size: size):
    """Run cases of so many bytes on workers that take so many seconds for a case of mean size.

    `cost(size)` is what a case really takes, in bytes: files tell it only roughly.
    """
    clock = _Clock()
    tasks = [Task(case=str(number), images=(), size_bytes=size) for number, size in enumerate(sizes)]
    queue = CaseQueue(tasks, retries=2, clock=clock)
    costs = {task.case: cost(task.size_bytes) for task in tasks}
    mean = sum(costs.values()) / len(costs)
    hands = {str(number): [] for number in range(len(seconds_each))}
    speeds = {str(number): mean / seconds for number, seconds in enumerate(seconds_each)}
    ends, worked_s, most, looked_s = [], 0.0, 0, 0.0

    def feed(worker):
        nonlocal worked_s, most
        was_idle = not hands[worker]
        while (task := queue.give(worker)) is not None:
            hands[worker].append(task)
        most = max(most, sum(map(len, hands.values())))
        if was_idle and hands[worker]:
            begin(worker)

    def begin(worker):
        nonlocal worked_s
        taken_s = costs[hands[worker][0].case] / speeds[worker]
        worked_s += taken_s
        heapq.heappush(ends, (clock.now_s + taken_s, worker))

    for worker in hands:
        queue.join(worker)
        feed(worker)
    while ends:
        clock.now_s, worker = heapq.heappop(ends)
        task = hands[worker].pop(0)
        queue.take_back(worker, Report(fate=Fate(case=task.case, images=(), status="segmented")))
        if hands[worker]:
            begin(worker)
        feed(worker)
        if clock.now_s - looked_s > LOOKS_S:
            looked_s = clock.now_s
            for idle in [name for name, hand in hands.items() if not hand]:
                feed(idle)
    assert queue.is_empty
    least_s = sum(costs.values()) / sum(speeds.values())
    return Simulated(
        hours=clock.now_s / 3600,
        least_hours=least_s / 3600,
        busy=worked_s / (clock.now_s * len(hands)),
        most_in_hand=most,
    )


class _Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def ct_sizes(count, seed=0):
    """Bytes of CTs as stored: log-normal, median 60 MB, one in twenty above 190 MB."""
    source = random.Random(seed)
    return [int(60e6 * source.lognormvariate(0, 0.7)) for _ in range(count)]


def roughly(seed=1):
    """What a case takes, within a third of what its size says."""
    source = random.Random(seed)
    return lambda size: size * source.uniform(2 / 3, 4 / 3)


def main(count, gpus):
    for name, seconds_each in {
        f"{gpus} GPUs of 10 s": [10.0] * gpus,
        f"{gpus // 2} of 10 s, {gpus - gpus // 2} of 20 s": [10.0] * (gpus // 2)
        + [20.0] * (gpus - gpus // 2),
        f"{gpus} GPUs of 10 s, {gpus} CPU workers of 300 s": [10.0] * gpus + [300.0] * gpus,
    }.items():
        started_s = time.perf_counter()
        found = simulate(ct_sizes(count), seconds_each, roughly())
        taken_s = time.perf_counter() - started_s
        sys.stdout.write(
            f"{count} cases, {name}: {found.hours:.2f} h, at least {found.least_hours:.2f} h, "
            f"busy {found.busy:.2%}, {found.most_in_hand} in hand; "
            f"{1e6 * taken_s / count:.0f} µs of the driver a case\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
