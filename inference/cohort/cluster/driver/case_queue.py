"""One queue for all workers: who is given which case when, and what follows when a worker is lost.

Workers pull, so that unlike machines share the work by their speed. The largest cases come first, so that the
end is not spent waiting for one of them; a worker whose speed is not known yet is tried with the smallest. A
worker has several cases in hand, one on its device and the others on their way; a slow worker is not given
what the others would have done earlier.

A case whose worker died is suspected: it is given once more to a worker that has nothing else in hand. When
that one dies too, it was the case, which is set aside; the cases that were in hand beside it go free.
"""

import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inference.cohort.cluster.fates import Report, Task

IN_HAND = 3
"""Cases that a worker has at most: one is segmented, one read, one fetched."""
CAUTION = 1.3
"""By how much a case may take longer than its size says."""
SPEEDS_HOLD_S = 1.0
"""Seconds for which the workers' speeds are taken as they were."""
KILLS = 2
"""Workers that may die with a case in hand before it is set aside."""


@dataclass(kw_only=True)
class _Hand:
    """A worker as the queue knows it."""

    tasks: dict[str, Task] = field(default_factory=dict)
    done_bytes: int = 0
    worked_s: float = 0.0
    """Seconds for which it had cases in hand, until the last was done."""
    since_s: float = 0.0
    """When it was done with that one, or was given another after a time with none."""

    @property
    def bytes(self) -> int:
        return sum(_weight(task) for task in self.tasks.values())

    def take(self, task: Task, now_s: float) -> None:
        if not self.tasks:
            self.since_s = now_s
        self.tasks[task.case] = task

    def let_go(self, case: str, now_s: float) -> Task | None:
        task = self.tasks.pop(case, None)
        if task is not None:
            self.worked_s += now_s - self.since_s
            self.since_s = now_s
        return task

    @property
    def speed(self) -> float | None:
        """Bytes a second while it had cases in hand; None before its first case is done."""
        return self.done_bytes / max(self.worked_s, 1e-6) if self.done_bytes else None


class CaseQueue:
    """The cases that are not done, and who has which.

    Args:
        tasks: what is to be done.
        retries: how often a case is tried again after its worker was lost or its storage failed.
        clock: seconds, rising.
    """

    def __init__(
        self, tasks: Iterable[Task], *, retries: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._queue = sorted(tasks, key=_order)
        self._suspects: deque[Task] = deque()
        self._hands: dict[str, _Hand] = {}
        self._tries = retries + 1
        self._clock = clock
        self._queued_bytes = sum(map(_weight, self._queue))
        self._in_hand_bytes = 0
        self._speeds: Mapping[str, float] = {}
        self._total_speed = 0.0
        self._speeds_s = float("-inf")

    @property
    def is_empty(self) -> bool:
        """Whether no case is waiting or in hand."""
        return not (self._queue or self._suspects or any(hand.tasks for hand in self._hands.values()))

    def join(self, worker: str) -> None:
        """A worker is there and has nothing in hand."""
        self._hands[worker] = _Hand()
        self._speeds_s = float("-inf")

    def give(self, worker: str) -> Task | None:
        """The next case for a worker; None where it should have no other at the moment."""
        hand = self._hands[worker]
        if any(task.kills for task in hand.tasks.values()):
            return None
        if self._suspects and not hand.tasks:
            return self._hand_out(hand, self._suspects.popleft())
        if not self._queue or len(hand.tasks) >= IN_HAND:
            return None
        is_new = not hand.done_bytes and len(self._hands) > 1
        if hand.tasks if is_new else not self._is_quick_enough(worker, self._queue[-1]):
            return None
        task = self._queue.pop(0 if is_new else -1)
        self._queued_bytes -= _weight(task)
        return self._hand_out(hand, task)

    def _hand_out(self, hand: _Hand, task: Task) -> Task:
        task = replace(task, tries=task.tries + 1)
        hand.take(task, self._clock())
        self._in_hand_bytes += _weight(task)
        return task

    def _is_quick_enough(self, worker: str, task: Task) -> bool:
        """Whether a worker, given a case, would be done with it before the others are with everything.

        Or it would be done with it before any other would, given the same.
        """
        speeds, total_speed = self._known_speeds()
        ends_s = (self._hands[worker].bytes + _weight(task)) / speeds[worker]
        if ends_s * CAUTION <= (self._queued_bytes + self._in_hand_bytes) / total_speed:
            return True
        others_s = [(hand.bytes + _weight(task)) / speeds[name] for name, hand in self._hands.items()]
        return ends_s <= min(others_s) * 1.001

    def _known_speeds(self) -> tuple[Mapping[str, float], float]:
        """Bytes a second of every worker and of all, a second old at most; one not known is as usual."""
        now_s = self._clock()
        if now_s - self._speeds_s >= SPEEDS_HOLD_S:
            known = {name: speed for name, hand in self._hands.items() if (speed := hand.speed)}
            usual = sum(known.values()) / len(known) if known else 1.0
            self._speeds = {name: known.get(name, usual) for name in self._hands}
            self._total_speed = sum(self._speeds.values())
            self._speeds_s = now_s
        return self._speeds, self._total_speed

    def take_back(self, worker: str, report: Report) -> Task | None:
        """A worker says what became of a case.

        Returns:
            The case, where no more is to be tried; None where it waits for another try, or where nobody
            knows of it any more.
        """
        hand = self._hands.get(worker)
        task = hand.let_go(report.fate.case, self._clock()) if hand else None
        if hand is None or task is None:
            return None
        self._in_hand_bytes -= _weight(task)
        if (
            report.fate.status == "segmented"
        ):  # What fails takes no time, and says nothing of the worker's speed.
            if not hand.done_bytes:
                self._speeds_s = float("-inf")
            hand.done_bytes += _weight(task)
        if report.is_final or task.tries >= self._tries:
            return task
        self._put_back(task)
        return None

    def lose(self, worker: str, *, blame: bool) -> list[Task]:
        """A worker is gone with all that it had in hand.

        Args:
            worker: it is forgotten.
            blame: it died by itself, so that a case may have killed it; else its machine went.

        Returns:
            The cases that are not tried again: those that were blamed twice, and those without a try left.
        """
        hand = self._hands.pop(worker, None)
        self._speeds_s = float("-inf")
        given_up = []
        for task in hand.tasks.values() if hand else ():
            self._in_hand_bytes -= _weight(task)
            known = replace(task, kills=task.kills + blame)
            if known.kills >= KILLS or known.tries >= self._tries:
                given_up.append(known)
            elif known.kills:
                self._suspects.append(known)
            else:
                self._put_back(known)
        return given_up

    def _put_back(self, task: Task) -> None:
        insort(self._queue, task, key=_order)
        self._queued_bytes += _weight(task)


def in_part(tasks: Sequence[Task], part: tuple[int, int] | None) -> list[Task]:
    """The cases of the K-th of N parts, in their order; parts have about the same size and share no case.

    Args:
        tasks: all cases.
        part: K from 1, and N; None for all.
    """
    if part is None:
        return list(tasks)
    index, parts = part
    own = {task.case for task in sorted(tasks, key=_order)[index - 1 :: parts]}
    return [task for task in tasks if task.case in own]


def _weight(task: Task) -> int:
    """Bytes as stored; an unknown size counts as little, and never as nothing."""
    return max(task.size_bytes, 1)


def _order(task: Task) -> tuple[int, str]:
    """What is given last comes first: the small, and among equals what is later by name."""
    return task.size_bytes, task.case
