"""Windows that several groups of members are given together, from one run over the whole region to many."""

from collections.abc import Sequence
from math import prod

from inference.planning.search import Size, smallest
from inference.planning.windows import window_choices
from model.arrays import Zyx
from model.manifest.network import Member

Level = tuple[Zyx, ...]
"""A window for each group."""


class Levels:
    """The n-th choice of every group, or its last where it has fewer; without the first choice of all.

    Args:
        groups: grid and members of each group.
    """

    def __init__(self, groups: Sequence[tuple[Zyx, Sequence[Member]]]) -> None:
        self._grids = [grid for grid, _ in groups]
        self._overlaps = [members[0].tiling.overlap for _, members in groups]
        choices = [window_choices(grid, members[0]) for grid, members in groups]
        self.windows: list[Level] = [
            tuple(each[min(level, len(each) - 1)] for each in choices)
            for level in range(1, max(map(len, choices)))
        ]
        """Those with fewest runs first."""

    @property
    def sizes(self) -> list[Size]:
        """What memory grows with, for each level: how deep windows are, who waits, and voxels of windows.

        A group's slabs are as deep as its windows. Where they do not begin and end with those of the finest
        grid, which smaller windows may do as well as larger ones, some wait.
        """
        depths = [tuple(window[0] for window in level) for level in self.windows]
        waits = {each: self._waiting(each) for each in set(depths)}
        return [
            (*each, *waits[each], *map(prod, level)) for each, level in zip(depths, self.windows, strict=True)
        ]

    def least(self) -> list[Level]:
        """Those of which one takes less memory than all others do.

        Of the last, if nothing waits there, that is known: its windows are the smallest.
        """
        if not self.windows or not any(self._waiting([window[0] for window in self.windows[-1]])):
            return self.windows[-1:]
        return [self.windows[index] for index in smallest(self.sizes)]

    def _waiting(self, depths: Sequence[int]) -> tuple[bool, ...]:
        """Which groups wait where windows are so deep."""
        return waiting(self._grids, list(zip(depths, self._overlaps, strict=True)))


def waiting(grids: Sequence[Zyx], rows: Sequence[tuple[int, float] | None]) -> tuple[bool, ...]:
    """Which groups' slabs wait for those of the finest grid, as they do not begin and end with them.

    Args:
        grids: of the groups.
        rows: slices and overlap of each group's windows; None for one whose scores are all kept.
    """
    slabs = list(zip(grids, rows, strict=True))
    finest = max(slabs, key=lambda slab: prod(slab[0]))
    return tuple(slab != finest for slab in slabs)
