"""Thinning: a mask is peeled down to lines of one voxel that have its holes, its parts and its ends.

A voxel may go if that changes no part, hole or cavity of the mask (it is simple: its neighbours in the mask
are one part by 26 neighbours, and those outside that share a face with it are one part by 6 neighbours within
its 18; Bertrand and Malandain, Pattern Recognition Letters 1994), and if it is not the end of a line. The
voxels of one face direction after the other are looked at, as in Lee, Kashyap and Chu (CVGIP 1994), so that
what is left lies in the middle.

A neighbourhood is a number of 26 bits. Parts are found by flooding it, and a flood's step is two looks into
tables of 13 bits, for all voxels at a time.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from model.arrays import Mask

Codes = NDArray[np.uint32]
Steps = tuple[int, int, int]

_AROUND: tuple[Steps, ...] = tuple(
    (z, y, x) for z, y, x in itertools.product((-1, 0, 1), repeat=3) if (z, y, x) != (0, 0, 0)
)
"""Steps to the 26 neighbours, each a bit of a code."""
_FACES = tuple(step for step in _AROUND if sum(map(abs, step)) == 1)
_HALF = 13
"""Bits of half a code."""


def _code(steps: set[Steps]) -> int:
    return sum(1 << bit for bit, step in enumerate(_AROUND) if step in steps)


def _touch(one: Steps, other: Steps, farthest: int) -> bool:
    apart = [abs(a - b) for a, b in zip(one, other, strict=True)]
    return max(apart) <= 1 and sum(apart) <= farthest


def _spread(farthest: int) -> tuple[Codes, Codes]:
    """For each lower and each upper half of a code, the code joined by its neighbours.

    Args:
        farthest: 1 for neighbours that share a face, 3 for all 26.
    """
    joined = [_code({b for b in _AROUND if _touch(a, b, farthest)}) for a in _AROUND]
    halves = []
    for first in (0, _HALF):
        table = np.zeros(1 << _HALF, np.uint32)
        for bit in range(_HALF):
            table[(np.arange(table.size) >> bit & 1).astype(np.bool_)] |= np.uint32(joined[first + bit])
        halves.append(table)
    return halves[0], halves[1]


_BY_FACE, _BY_CORNER = _spread(1), _spread(3)
_FACE_BITS = np.uint32(_code(set(_FACES)))
_OUTSIDE_BITS = np.uint32(_code({step for step in _AROUND if sum(map(abs, step)) <= 2}))


def thinned(mask: Mask) -> Mask:
    """The lines that thinning leaves of a mask of shape (z, y, x); as connected as the mask is."""
    padded = np.pad(mask, 1)
    voxels = padded.ravel()
    plane, row, column = padded.strides
    around = [z * plane + y * row + x * column for z, y, x in _AROUND]
    left = np.flatnonzero(voxels)
    thick = True
    while thick:
        thick = False
        for z, y, x in _FACES:
            border = left[~voxels[left + (z * plane + y * row + x * column)]]
            place = np.unravel_index(border, padded.shape)
            # Voxels of even and odd places touch none of their own kind, so that each sees what is left.
            kinds = sum((axis & 1) << n for n, axis in enumerate(place))
            for kind in range(8):
                some = border[kinds == kind]
                gone = some[_removable(_codes(voxels, some, around))]
                voxels[gone] = False
                thick |= gone.size > 0
        left = left[voxels[left]]
    inner: Mask = padded[1:-1, 1:-1, 1:-1]
    return inner


def _codes(voxels: Mask, places: NDArray[np.intp], around: list[int]) -> Codes:
    codes = np.zeros(places.size, np.uint32)
    for bit, step in enumerate(around):
        codes |= voxels[places + step].astype(np.uint32) << np.uint32(bit)
    return codes


def _removable(codes: Codes) -> Mask:
    """Whether a voxel with these neighbours is simple, and not the end of a line."""
    outside = ~codes & _OUTSIDE_BITS
    faces = outside & _FACE_BITS
    several = (codes & (codes - np.uint32(1))) > 0
    one_inside = _flooded(codes, codes, _BY_CORNER) == codes
    one_outside = (faces > 0) & ((faces & ~_flooded(faces, outside, _BY_FACE)) == 0)
    found: Mask = several & one_inside & one_outside
    return found


def _flooded(seeds: Codes, allowed: Codes, spread: tuple[Codes, Codes]) -> Codes:
    """The part of the allowed neighbours that the lowest seed reaches."""
    reached = seeds & (~seeds + np.uint32(1))
    while True:
        lower, upper = reached & np.uint32((1 << _HALF) - 1), reached >> np.uint32(_HALF)
        wider = (spread[0][lower] | spread[1][upper]) & allowed
        if np.array_equal(wider, reached):
            return reached
        reached = wider
