"""Processes that work on items, and end when they are told to."""

import os
import select
import subprocess
import sys
import threading

import pytest

from tests.places import ROOT
from training.endable_workers import EndableWorkers
from training.training_errors import TrainingError


def doubled(item):
    return 2 * item


def refusing(item):
    raise OSError(f"{item} is full")


def dying(item):
    os._exit(9)


def endless(item):
    threading.Event().wait()


@pytest.mark.parametrize("processes", [1, 3])
def test_results_are_those_of_the_items(processes):
    with EndableWorkers(doubled, processes, "died") as workers:
        futures = [workers.submit(item) for item in range(5)]
        assert [future.result() for future in futures] == [0, 2, 4, 6, 8]


def test_an_error_of_the_work_is_that_of_its_item_and_the_process_goes_on():
    with EndableWorkers(refusing, 1, "died") as workers:
        for item in ("disk", "drive"):
            with pytest.raises(OSError, match=f"^{item} is full$"):
                workers.submit(item).result()


def test_a_process_that_dies_is_told_of():
    with (
        EndableWorkers(dying, 1, "it has died") as workers,
        pytest.raises(TrainingError, match=r"^it has died$"),
    ):
        workers.submit(0).result()


def test_nobody_waits_for_work_that_is_not_done():
    with EndableWorkers(endless, 2, "it has died") as workers:
        running, waiting = [workers.submit(item) for item in (0, 1)], workers.submit(2)
        while not all(future.running() for future in running):
            pass
    assert waiting.cancelled()
    for future in running:
        assert str(future.exception()) == "it has died"


PARENT = """
from tests.training.test_endable_workers import EndableWorkers, endless_after_telling
with EndableWorkers(endless_after_telling, 1, "died") as workers:
    workers.submit(0).result()
"""


def endless_after_telling(item):
    os.write(1, f"{os.getpid()}\n".encode())
    endless(item)


def test_a_worker_ends_with_its_parent_however_that_ends():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended
