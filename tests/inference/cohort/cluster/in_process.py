"""An engine whose workers live in this process, for what needs no process to die."""

from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from inference.cohort.cluster.driver.case_queue import IN_HAND
from inference.cohort.cluster.worker.worker_engine import answer, open_worker


class InProcess:
    """One worker for each setup."""

    def __init__(self, setups):
        self._waiting = {f"worker {number}": setup for number, setup in enumerate(setups, 1)}
        self._workers = {}
        self._pool = ThreadPoolExecutor(IN_HAND * len(setups))
        self._events = SimpleQueue()

    def grow(self):
        names = list(self._waiting)
        for name in names:
            worker, event = open_worker(name, self._waiting.pop(name))
            self._workers[name] = worker
            self._events.put(event)
        return names

    def send(self, name, task):
        self._pool.submit(lambda: self._events.put(answer(self._workers[name], name, task)))

    def wait(self, timeout_s):
        try:
            return [self._events.get(timeout=timeout_s)]
        except Empty:
            return []

    def close(self):
        for worker in self._workers.values():
            if worker is not None:
                worker.close()
        self._pool.shutdown()
