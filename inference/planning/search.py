"""The first of many choices that fits, where most need not be looked at."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import ge
from typing import Generic, TypeVar

T = TypeVar("T")
Size = tuple[int, ...]
"""What memory grows with, a number each."""


def first_fitting(sizes: Sequence[Size], depths: int, fitting: Callable[[int], T | None]) -> T | None:
    """What `fitting` gives for the first choice for which it gives anything; None where it never does.

    A choice that is at least as large in every number as one that does not fit does not fit either. Of
    choices that differ in their last numbers alone, the smallest that does not fit is looked for by halving;
    so 15,000 choices take some hundred looks, where going through them takes thousands.

    Args:
        sizes: of each choice, in the order of preference.
        depths: how many numbers of a size come first that few different choices have.
        fitting: by a choice's number, what comes of it; None where it does not fit.
    """
    looks = _Looks(sizes, fitting)
    columns: dict[Size, list[int]] = defaultdict(list)
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        columns[sizes[index][:depths]].append(index)
    for index, size in enumerate(sizes):
        if looks.is_too_large(size):
            continue
        found = looks.at(index)
        if found is not None:
            return found
        column = columns[size[:depths]]
        # The smallest first: often not even that one fits.
        if looks.fits(column[0]):
            looks.learn_edge(column[: column.index(index)])
    return None


def smallest(sizes: Sequence[Size]) -> list[int]:
    """The numbers of the choices that are not as large as another in every number.

    >>> smallest([(1, 4), (2, 3), (2, 4), (3, 3), (4, 1)])
    [0, 1, 4]
    """
    found: dict[Size, int] = {}
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        if not any(_covers(sizes[index], each) for each in found):
            found[sizes[index]] = index
    return sorted(found.values())


class _Looks(Generic[T]):
    """What was looked at, and what follows from it for others."""

    def __init__(self, sizes: Sequence[Size], fitting: Callable[[int], T | None]) -> None:
        self._sizes, self._fitting = sizes, fitting
        self._too_large: list[Size] = []
        self._small_enough: list[Size] = []

    def at(self, index: int) -> T | None:
        """Look at a choice."""
        found, size = self._fitting(index), self._sizes[index]
        if found is None:
            self._too_large = [each for each in self._too_large if not _covers(each, size)] + [size]
        else:
            self._small_enough = [each for each in self._small_enough if not _covers(size, each)] + [size]
        return found

    def fits(self, index: int) -> bool:
        """Whether a choice fits; looked at only where nothing else tells."""
        size = self._sizes[index]
        if self.is_too_large(size):
            return False
        return any(_covers(each, size) for each in self._small_enough) or self.at(index) is not None

    def learn_edge(self, choices: Sequence[int]) -> None:
        """Look, by halving, where choices that grow cease to fit, so that no other need be looked at."""
        low, high = 0, len(choices)
        while low < high:
            middle = (low + high) // 2
            if self.fits(choices[middle]):
                low = middle + 1
            else:
                high = middle

    def is_too_large(self, size: Size) -> bool:
        """Whether one that does not fit is as small."""
        return any(_covers(size, each) for each in self._too_large)


def _covers(size: Size, other: Size) -> bool:
    """Whether a size is as large as another in every number."""
    return all(map(ge, size, other))
