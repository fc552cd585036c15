"""Threads for numpy work on slices, which numpy lets run while it computes; and turns at what they share.

The result is the same whoever does the work, and however many they are.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from inference.limits import processors, processors_within_quota

T = TypeVar("T")


@dataclass(frozen=True)
class Threads:
    """How many threads work on slices, and the pool in which they do; handed to whoever has such work."""

    wanted: int = 0
    """0: as many as can run at a time, see `inference.limits`."""

    @cached_property
    def count(self) -> int:
        """How many work at the same time."""
        return self.wanted or processors_within_quota()

    @property
    def of_libraries(self) -> int:
        """How many threads a library is to use; 0 leaves it to the library.

        It knows better which processors share a core, but nothing of quotas.
        """
        return self.wanted or (self.count if self.count < processors() else 0)

    def spread(self, work: Callable[[int, int], T], size: int) -> list[T]:
        """Do work on the parts of `range(size)`, one part a thread, at the same time.

        Args:
            work: given the first item of a part and the one after its last; parts must not depend on each
                other.
            size: number of items.

        Returns:
            What `work` returned, in the order of the parts.
        """
        count = min(self.count, size)
        if count < 2:
            return [work(0, size)] if size else []
        edges = [size * i // count for i in range(count + 1)]
        # The calling thread takes the first part itself.
        others = [self._pool.submit(work, a, b) for a, b in pairwise(edges[1:])]
        try:
            first = work(edges[0], edges[1])
        finally:
            wait(others)  # None goes on with arrays that were given up, should this part have failed.
        return [first, *(other.result() for other in others)]

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(1, self.count - 1), thread_name_prefix="slices")


ONE_THREAD = Threads(1)
"""For small work, where handing it out costs more than doing it."""


@dataclass
class Turns:
    """Turns at what one thread may use at a time; others wait for theirs."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: int | None = None
    """The one whose turn it is."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and end it with the block.

        Raises:
            RuntimeError: it is this thread's turn already, so that it would wait for itself.
        """
        if self._thread == threading.get_ident():
            raise RuntimeError(
                "a predictor is used by the thread for which it segments a case; end that case first"
            )
        with self._lock:
            try:
                self._thread = threading.get_ident()
                yield
            finally:
                self._thread = None
