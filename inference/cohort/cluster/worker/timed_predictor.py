"""A predictor that knows how long it was at work: what a worker's busy share is made of."""

import threading
import time

from inference.cohort.one_case import Predicts
from inference.imaging.volume import Volume
from inference.planning.plan import InferencePlan
from inference.segmented import Segmented
from inference.timing import Timings


class TimedPredictor:
    """Hands on to a predictor, with a watch; for the threads of one worker."""

    def __init__(self, predictor: Predicts) -> None:
        self._predictor = predictor
        self._seconds = 0.0
        self._lock = threading.Lock()

    def predict(
        self,
        volume: Volume,
        plan: InferencePlan | None = None,
        timings: Timings | None = None,
        reserved_mb: float = 0.0,
    ) -> Segmented:
        """Segment one case."""
        started = time.perf_counter()
        try:
            return self._predictor.predict(volume, plan, timings, reserved_mb)
        finally:
            with self._lock:
                self._seconds += time.perf_counter() - started

    def take_seconds(self) -> float:
        """Seconds at work since this was asked last."""
        with self._lock:
            seconds, self._seconds = self._seconds, 0.0
        return seconds

    def close(self) -> None:
        """Give back what the predictor holds."""
        self._predictor.close()
