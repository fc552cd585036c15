"""Where a network's windows lie in an image, and how one is cut out of it.

Arrays are (z, y, x); a window's *start* is the index of its first voxel in the image and is negative where
the image is smaller than the window.
"""

from math import ceil

import numpy as np

from model.arrays import F32, Zyx
from model.manifest.network import Member
from model.manifest.tiling import Padding

Slices = tuple[slice, slice, slice]


def window_starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxels of the windows along one axis: as few as the overlap allows, evenly spread.

    The first and the last window are flush with the image's ends.

    Ten voxels, windows of four, half overlapping: at most 2 voxels from start to start, 6 to go, so four
    windows::

        voxel   0 1 2 3 4 5 6 7 8 9
        0       # # # #
        2           # # # #
        4               # # # #
        6                   # # # #

    With size 110, window 64, overlap 0.5 the starts are 0, 23, 46 (nnU-Net
    `compute_steps_for_sliding_window`). An image smaller than the window gets one window with the image in
    its middle: size 3, window 8 starts at -2. nnU-Net and MONAI pad symmetrically too, in training as in
    inference, so networks know images that lie so.

    Args:
        size: voxels of the image along the axis, at least 1.
        window: voxels of the window along the axis.
        overlap: share of a window that the next one covers again, 0 to 0.9; neighbours overlap at least so
            much.
    """
    if size <= window:
        return (-((window - size) // 2),)
    step = max(1.0, window * (1.0 - overlap))
    # Subtracting a little keeps 8 * (1 - 0.9) = 0.7999... from asking for one window more than 0.8 would.
    gaps = ceil((size - window) / step - 1e-6)
    # In nnU-Net's order of operations: half-way between two voxels rounding decides.
    apart = (size - window) / gaps
    return tuple(round(i * apart) for i in range(gaps + 1))


def stepped_starts(size: int, window: int, overlap: float, *, from_end: bool = False) -> tuple[int, ...]:
    """First voxels of the windows along one axis, one every `int(window * (1 - overlap))` voxels.

    The last one is moved back to the image's end. Source: `dense_patch_slices` of MONAI.

    Ten voxels, windows of four, overlap 0.25: 0, 3, 6. Overlap 0.5 of windows of five: 0, 2, 4, 5; counted
    from the end: 0, 1, 3, 5.

    Args:
        size: voxels of the image along the axis, at least 1.
        window: voxels of the window along the axis.
        overlap: share of a window that the next one covers again, 0 to 0.9.
        from_end: whether the network's axis runs the other way.
    """
    step = max(1, int(window * (1 - overlap)))
    beyond = max(0, size - window)
    starts = [*range(0, beyond, step), beyond]
    if size < window:
        starts = [-((window - size) // 2)]
    # Seen from the other end a window begins where it ends.
    return tuple(sorted(size - window - start for start in starts) if from_end else starts)


def starts_of(member: Member, size_zyx: Zyx) -> tuple[tuple[int, ...], ...]:
    """First voxels of a member's windows along z, y and x of an image of this size, in rising order."""
    tiling, ends = member.tiling, member.from_end_zyx
    return tuple(
        window_starts(size, window, tiling.overlap)
        if tiling.placement == "even"
        else stepped_starts(size, window, tiling.overlap, from_end=from_end)
        for size, window, from_end in zip(size_zyx, member.window_zyx, ends, strict=True)
    )


def covered(start: Zyx, window_zyx: Zyx, size_zyx: Zyx) -> tuple[Slices, Slices]:
    """The part of the image under a window: where it is in the image, and where in the window."""
    ends = zip(start, window_zyx, size_zyx, strict=True)
    bounds = [(max(0, first), min(first + length, size)) for first, length, size in ends]
    z, y, x = (slice(low, high) for low, high in bounds)
    wz, wy, wx = (slice(low - first, high - first) for (low, high), first in zip(bounds, start, strict=True))
    return (z, y, x), (wz, wy, wx)


def read_window(image: F32, start: Zyx, window_zyx: Zyx, padding: Padding = "zeros") -> F32:
    """Copy one window out of a normalized image.

    What lies outside is 0, as nnU-Net and MONAI pad normalized images; above and below it may be the end
    slices repeated.

    Args:
        image: (channels, z, y, x).
        start: may be negative, see `window_starts`.
        window_zyx: size of the result, (channels, *window_zyx).
        padding: what lies above and below the image.
    """
    channels, depth, height, width = image.shape
    of_image, of_window = covered(start, window_zyx, (depth, height, width))
    out = np.zeros((channels, *window_zyx), np.float32)
    out[:, *of_window] = image[:, *of_image]
    if padding == "end_slices":
        first, stop = of_window[0].start, of_window[0].stop
        out[:, :first] = out[:, first, None]
        out[:, stop:] = out[:, stop - 1, None]
    return out
