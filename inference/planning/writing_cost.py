"""What results beside the label map take while they are made, before and after it is known what was found."""

from dataclasses import dataclass, replace
from math import prod

from model.arrays import Zyx
from model.units import MIB

SHARES = (1.0, 0.5, 0.25, 0.125)
"""Of one frame for every structure in every slice, how many are planned: as many as the budget allows.

Of a hundred structures of the whole body few are in one slice, which nobody knows before they are found."""


@dataclass(frozen=True, kw_only=True)
class WritingCost:
    """What results beside the label map take."""

    libraries_mb: float = 0.0
    """MiB of what is loaded to make them."""
    voxel_bytes: int = 0
    """Bytes for each voxel of the image while they are made."""
    structures: int = 0
    """That may be found; each of them in a slice is a frame."""
    frame_bytes: int = 0
    """Bytes for each frame while they are made."""
    frame_pixel_bytes: float = 0.0
    """Bytes for each pixel of a frame while they are made."""
    share: float = SHARES[0]
    """Frames that may be made, of one for every structure in every slice."""

    def mb(self, size_zyx: Zyx) -> float:
        """What they take of an image at most, if there are no more frames than may be made."""
        return self.mb_of(size_zyx, self.share * self.structures * size_zyx[0])

    def mb_of(self, size_zyx: Zyx, frames: float) -> float:
        """What they take of an image with so many frames."""
        pixels = prod(size_zyx[1:])
        each = self.frame_bytes + self.frame_pixel_bytes * pixels
        return (self.voxel_bytes * prod(size_zyx) + frames * each) / MIB

    def within(self, size_zyx: Zyx, mb: float) -> "WritingCost":
        """The same with the largest of `SHARES` that takes no more than so many MiB; else with the least."""
        each = (replace(self, share=share) for share in SHARES)
        return next((cost for cost in each if cost.mb(size_zyx) <= mb), replace(self, share=SHARES[-1]))
