"""Work on many cases in parallel processes, which yields each result as soon as it is ready."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import SimpleITK as sitk

from eval.eval_errors import JudgingError
from leanseg.worker_start import begin_worker, starting_workers

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Results of `work` on all items, `jobs` at a time, in the order in which they are finished.

    A single item, or a single job, is worked on in this process.

    Args:
        work: a function that can be pickled, as its items and results can.
        items: the arguments of the calls.
        jobs: number of processes, 1 or more.

    Raises:
        JudgingError: a process ran out of memory.
    """
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(
        max_workers=min(jobs, len(items)), mp_context=get_context("spawn"), initializer=_start_worker
    ) as pool:
        try:
            with starting_workers():
                futures = [pool.submit(work, item) for item in items]
            for future in as_completed(futures):
                yield future.result()
        except (BrokenProcessPool, MemoryError) as error:
            raise JudgingError(
                "a process failed, most likely because memory ran out; lower --jobs"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent process, and keep the image library's warnings out of the progress lines."""
    begin_worker()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
