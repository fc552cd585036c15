"""Seconds of each stage of a case, and when they were."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Timings:
    """Collects what stages took; a stage that runs several times adds up.

    >>> timings = Timings()
    >>> with timings.stage("read"):
    ...     pass
    >>> list(timings.seconds)
    ['read']
    """

    seconds: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    """Each time a stage ran: its name, start and end in seconds since 1970, in the order of the ends."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds that the block takes towards a stage, also when it raises."""
        start, started_unix_s = time.perf_counter(), time.time()
        try:
            yield
        finally:
            taken_s = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + taken_s
            self.spans.append((name, started_unix_s, started_unix_s + taken_s))

    def __str__(self) -> str:
        """`read 0.2 s, network 4.1 s`, in the order in which the stages first ended."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
