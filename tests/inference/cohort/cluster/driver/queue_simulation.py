"""A cohort in no time: the queue of the driver, with workers that only have a speed.

    python -m tests.inference.cohort.cluster.driver.queue_simulation 1000000 100

prints what docs/scaling.md says of a million CTs.
"""

import heapq
import random
import sys
import time
from dataclasses import dataclass, field
from itertools import count

from inference.cohort.cluster.driver.case_queue import CaseQueue
from inference.cohort.cluster.fates import Fate, Report, Task

LOOKS_S = 5.0
"""Seconds between two looks at workers that were given nothing; the driver's own are shorter."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong, and how often; drawn from a seed."""

    deadly: float = 0.0
    """Share of cases that kill the worker which has them on its device."""
    storage: float = 0.0
    """Share of tries that fail for what another try may not meet."""
    lost_every_h: float = float("inf")
    """Hours after which a worker is lost with its machine, on average."""
    back_s: float = 300.0
    """Seconds until another is there in its place."""
    seed: int = 2


@dataclass
class Simulated:
    """How a cohort went."""

    hours: float
    """Until the last case met its fate."""
    least_hours: float
    """All bytes by all speeds: nobody could do it in less."""
    busy: float
    """Share of their time for which workers were at work, all together."""
    most_in_hand: int
    segmented: int
    failed: int
    harmless_failed: int
    """Of these, cases that kill nobody."""
    lost: int
    """Workers, of whatever cause."""


@dataclass(kw_only=True)
class _Worker:
    speed: float
    """Bytes a second."""
    seat: int
    hand: list = field(default_factory=list)
    began_s: float = 0.0
    """When the first case in hand was begun."""


def simulate(sizes, seconds_each, cost=lambda size: size, faults=None):
    """Run cases of so many bytes on workers that take so many seconds for a case of mean size.

    `cost(size)` is what a case really takes, in bytes: files tell it only roughly.
    """
    return _Simulation(sizes, seconds_each, cost, faults or Faults()).run()


class _Simulation:
    def __init__(self, sizes, seconds_each, cost, faults):
        self.clock, self.faults, self.chance = _Clock(), faults, random.Random(faults.seed)
        tasks = [Task(case=str(number), images=(), size_bytes=size) for number, size in enumerate(sizes)]
        self.queue = CaseQueue(tasks, retries=2, clock=self.clock)
        self.costs = {task.case: cost(task.size_bytes) for task in tasks}
        self.deadly = {task.case for task in tasks if self.chance.random() < faults.deadly}
        mean = sum(self.costs.values()) / len(self.costs)
        self.speeds = [mean / seconds for seconds in seconds_each]
        self.workers, self.events, self.numbers = {}, [], count()
        self.met = {}
        self.in_hand = self.most_in_hand = self.lost = 0
        self.worked_s = self.looked_s = 0.0

    def run(self):
        for seat in range(len(self.speeds)):
            self.join(seat)
        while not self.queue.is_empty:
            self.clock.now_s, _, act, subject = heapq.heappop(self.events)
            act(subject)
            if self.clock.now_s - self.looked_s > LOOKS_S:
                self.looked_s = self.clock.now_s
                for idle in [name for name, worker in self.workers.items() if not worker.hand]:
                    self.feed(idle)
        assert len(self.met) == len(self.costs)
        segmented = sum(self.met.values())
        return Simulated(
            hours=self.clock.now_s / 3600,
            least_hours=sum(self.costs.values()) / sum(self.speeds) / 3600,
            busy=self.worked_s / (self.clock.now_s * len(self.speeds)),
            most_in_hand=self.most_in_hand,
            segmented=segmented,
            failed=len(self.met) - segmented,
            harmless_failed=sum(not done for case, done in self.met.items() if case not in self.deadly),
            lost=self.lost,
        )

    def later(self, seconds, act, subject):
        heapq.heappush(self.events, (self.clock.now_s + seconds, next(self.numbers), act, subject))

    def join(self, seat):
        name = str(next(self.numbers))
        self.workers[name] = _Worker(speed=self.speeds[seat], seat=seat)
        self.queue.join(name)
        if self.faults.lost_every_h < float("inf"):
            self.later(3600 * self.chance.expovariate(1 / self.faults.lost_every_h), self.go, name)
        self.feed(name)

    def feed(self, name):
        worker = self.workers[name]
        was_idle = not worker.hand
        while (task := self.queue.give(name)) is not None:
            worker.hand.append(task)
            self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        if was_idle and worker.hand:
            self.begin(name, worker)

    def begin(self, name, worker):
        worker.began_s = self.clock.now_s
        self.later(self.costs[worker.hand[0].case] / worker.speed, self.end, name)

    def end(self, name):
        worker = self.workers.get(name)
        if worker is None:
            return  # It was lost while it was at work.
        task = worker.hand[0]
        if task.case in self.deadly:
            self.lose(name, blame=True)
            return
        self.worked_s += self.clock.now_s - worker.began_s
        del worker.hand[0]
        self.in_hand -= 1
        is_final = self.chance.random() >= self.faults.storage
        fate = Fate(case=task.case, images=(), status="segmented" if is_final else "failed")
        if self.queue.take_back(name, Report(fate=fate, is_final=is_final)) is not None:
            self.meet(task.case, is_final)
        if worker.hand:
            self.begin(name, worker)
        self.feed(name)

    def go(self, name):
        if name in self.workers:
            self.lose(name, blame=False)

    def lose(self, name, *, blame):
        worker = self.workers.pop(name)
        self.lost += 1
        self.in_hand -= len(worker.hand)
        if worker.hand:
            self.worked_s += self.clock.now_s - worker.began_s
        for task in self.queue.lose(name, blame=blame):
            self.meet(task.case, False)
        self.later(self.faults.back_s, self.join, worker.seat)

    def meet(self, case, is_segmented):
        assert case not in self.met, "a case has one fate"
        self.met[case] = is_segmented


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


def main(cases, gpus):
    alike, often = [10.0] * gpus, Faults(deadly=1e-4, storage=1e-3, lost_every_h=24)
    for name, (seconds_each, faults) in {
        f"{gpus} GPUs of 10 s": (alike, None),
        "the same, with faults": (alike, often),
        f"{gpus // 2} of 10 s, {gpus - gpus // 2} of 20 s": (
            [10.0] * (gpus // 2) + [20.0] * (gpus - gpus // 2),
            None,
        ),
        f"{gpus} GPUs of 10 s, {gpus} CPU workers of 300 s": (alike + [300.0] * gpus, None),
    }.items():
        started_s = time.process_time()
        found = simulate(ct_sizes(cases), seconds_each, roughly(), faults)
        taken_s = time.process_time() - started_s
        sys.stdout.write(
            f"{cases} cases, {name}: {found.hours:.2f} h, at least {found.least_hours:.2f} h, "
            f"busy {found.busy:.2%}, {found.most_in_hand} in hand; {found.failed} failed, "
            f"{found.lost} workers lost; {1e6 * taken_s / cases:.0f} µs of the driver a case\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
