"""Seconds of each stage of a case."""

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

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds that the block takes towards a stage, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def __str__(self) -> str:
        """`read 0.2 s, network 4.1 s`, in the order in which the stages first ended."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
