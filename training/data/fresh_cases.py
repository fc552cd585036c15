"""Synthetic cases that processes make while a network trains, each a function of (seed, number) alone.

Patch `p` of the run, counted over all processes, may be cut from one of the `pool` cases from number
p · share // patches_per_case on. Which one it is depends on the seed and p only: a run that is resumed, or
shared by more processes, sees the same. Each process of a run that is shared makes all cases for itself.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from inference.geometry import Geometry, as_direction
from inference.imaging.volume import Volume, to_canonical
from inference.preprocessing.resampling import resample_labels
from training.data.on_grid import network_input
from training.data.sampling import GridCase, class_points
from training.data.store import class_table, kept_type, recipe_table
from training.endable_workers import EndableWorkers
from training.phantom.bodies.body import Body
from training.phantom.bodies.data_folder import load_anatomy
from training.phantom.bodies.drawn_case import draw_case
from training.phantom.maps import AnatomyMap
from training.random_streams import Stream
from training.recipes.recipe import Recipe
from training.recipes.synthesis_options import Synthesis
from training.training_errors import DataError

AHEAD = 2
"""Cases that are begun before they are wanted, for each process that makes them."""
BEHIND = 4
"""Cases kept after the window has left them, for threads that are behind the others."""
MAKER_DIED = "a process that makes synthetic cases has died; if memory ran out, take fewer with --case-makers"
TELL_EVERY_S = 20.0
"""How often it is told how many of the first cases are made."""
LOOK_S = 0.2
"""How often a thread that waits for a case looks whether it is still wanted."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SyntheticCase:
    """Makes case after case, in any process: `make(number)`."""

    recipe: Recipe
    """Says the grid, the intensity and the channels."""
    synthesis: Synthesis
    """Says what kinds of case there are."""
    seed: int
    """Of the run. No case is one that `python -m training phantom` makes, with any seed below 2³²."""
    anatomy: Path | None
    """Folder of label maps to paint over; None: there are none."""

    def __call__(self, number: int) -> GridCase:
        """Case `number` on the recipe's grid.

        Raises:
            DataError: the folder holds no usable label map.
        """
        rng = np.random.default_rng((self.seed, Stream.FRESH_CASE, number, 1))
        made = draw_case(
            rng,
            _bodies(self.anatomy),
            anatomy_share=self.synthesis.anatomy_share,
            elsewhere_share=self.synthesis.elsewhere_share,
        )
        x, y, z = made.spacing_xyz_mm
        geometry = Geometry(
            size_zyx=made.image.shape, spacing_zyx_mm=(z, y, x), direction=as_direction(made.direction)
        )
        image, _ = to_canonical(Volume(array=made.image, geometry=geometry))
        labels, _ = to_canonical(Volume(array=made.labels, geometry=geometry))
        seen = network_input(image, self.recipe)
        ids = resample_labels(labels.array.astype(np.uint8), seen.shape[1:])
        channels = recipe_table(self.recipe)[ids]
        return GridCase(
            name=f"synthetic_{number:06d}",
            image=seen.astype(kept_type(self.recipe)),
            channels=channels,
            points=class_points(class_table(self.recipe)[ids], rng),
        )


@cache
def _bodies(anatomy: Path | None) -> tuple[AnatomyMap | Body, ...]:
    """The label maps of a folder, read once in a process.

    Raises:
        DataError: it holds no usable one.
    """
    try:
        return () if anatomy is None else tuple(load_anatomy(anatomy))
    except ValueError as error:
        raise DataError(str(error)) from error


class FreshCases:
    """Cases in the making, between `with` and its end; safe to use from several threads.

    Args:
        make: makes the case of a number; it is pickled, and called in other processes.
        synthesis: how many cases patches come from, and how soon they are replaced.
        seed: of the run.
        processes: how many make cases, 1 or more.
    """

    def __init__(
        self, make: Callable[[int], GridCase], synthesis: Synthesis, seed: int, processes: int
    ) -> None:
        self._makers = EndableWorkers(make, processes, MAKER_DIED)
        self._synthesis, self._seed, self._ahead = synthesis, seed, AHEAD * processes
        self._begun: dict[int, Future[GridCase]] = {}
        self._waiting: Counter[int] = Counter()
        self._is_let_go = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._makers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self._makers.__exit__(kind, error, trace)

    def number_at(self, position: int) -> int | None:
        """Which of these cases the patch at a position of the run comes from; None: one of the data."""
        draws = np.random.default_rng((self._seed, Stream.FRESH_OR_STORED, position))
        if draws.random() >= self._synthesis.share:
            return None
        return self._oldest_at(position) + int(draws.integers(self._synthesis.pool))

    def case_at(self, position: int) -> GridCase | None:
        """The case that the patch at a position of the run comes from; waits until it is made.

        None: the patch comes from the data.

        Raises:
            DataError: the folder of label maps is not usable.
            TrainingError: a process that makes cases has died.
            CancelledError: it was let go.
        """
        number = self.number_at(position)
        return None if number is None else self._when_made(position, number)

    def take_up(self, position: int) -> None:
        """Begin to make cases, and wait for all that the patch at this position of the run may come from.

        Raises:
            DataError, TrainingError: as for `case_at`.
        """
        self._is_let_go = False
        oldest = self._oldest_at(position)
        window = range(oldest, oldest + self._synthesis.pool)
        logger.info("making the first %d synthetic cases", len(window))
        told = time.monotonic()
        for made, number in enumerate(window, start=1):
            self._when_made(position, number)
            if time.monotonic() - told >= TELL_EVERY_S:
                told = time.monotonic()
                logger.info("%d of %d synthetic cases are made", made, len(window))

    def let_go(self) -> None:
        """Have threads that wait for a case wait no longer, now and until cases are taken up again."""
        self._is_let_go = True
        with self._lock:
            for number, future in list(self._begun.items()):
                if future.cancel():
                    del self._begun[number]

    def _oldest_at(self, position: int) -> int:
        return int(position * self._synthesis.share) // self._synthesis.patches_per_case

    def _when_made(self, position: int, number: int) -> GridCase:
        wanted = self._begin(position, number)
        try:
            while not wanted.done():
                wait([wanted], timeout=LOOK_S)
                if self._is_let_go:
                    raise CancelledError
            return wanted.result()
        finally:
            with self._lock:
                self._waiting[number] -= 1
                self._waiting += Counter()  # Leaves out those that nobody waits for.

    def _begin(self, position: int, number: int) -> Future[GridCase]:
        """Begin a case that somebody will wait for, and those wanted next; leave those that are past."""
        oldest = self._oldest_at(position)
        with self._lock:
            for past in [n for n in self._begun if n < oldest - BEHIND and not self._waiting[n]]:
                self._begun.pop(past).cancel()
            for begun in (number, *range(oldest, oldest + self._synthesis.pool + self._ahead)):
                if begun not in self._begun:
                    self._begun[begun] = self._makers.submit(begun)
            self._waiting[number] += 1
            return self._begun[number]
