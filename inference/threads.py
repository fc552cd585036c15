"""Threads for numpy work on slices, which is the same whoever does it: numpy lets other threads run while it computes."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

_chosen = 0


def use_threads(threads: int) -> None:
    """How many threads `spread` may use from now on; 0 for as many as this process may run on."""
    global _chosen
    _chosen = threads


def threads() -> int:
    """How many threads `spread` uses."""
    if _chosen:
        return _chosen
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[int, int], T], size: int) -> list[T]:
    """Do work on the parts of `range(size)`, one part a thread, at the same time.

    Args:
        work: given the first item of a part and the one after its last; parts must not depend on each other.
        size: number of items.

    Returns:
        What `work` returned, in the order of the parts.
    """
    count = min(threads(), size)
    if count < 2:
        return [work(0, size)] if size else []
    edges = [size * i // count for i in range(count + 1)]
    # The calling thread takes the first part itself.
    others = [_pool(count - 1).submit(work, a, b) for a, b in pairwise(edges[1:])]
    return [work(edges[0], edges[1]), *(other.result() for other in others)]


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="slices")
