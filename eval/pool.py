"""Work on many cases in parallel processes, each result given out as soon as it is there."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import SimpleITK as sitk

from eval.eval_errors import JudgingError

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Results of `work` on all items, `jobs` at a time, in any order.

    In this process if there is nothing to share.

    Args:
        work: can be pickled, as its items and results can.
        items: what to work on.
        jobs: processes, 1 or more.

    Raises:
        JudgingError: memory did not suffice.
    """
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(
        max_workers=min(jobs, len(items)), mp_context=get_context("spawn"), initializer=_start_worker
    ) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        except (BrokenProcessPool, MemoryError) as error:
            raise JudgingError("a process failed, most likely for want of memory; lower --jobs") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and warnings of the image library out of the progress."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
