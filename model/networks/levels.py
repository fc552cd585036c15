"""What all network specifications have in common: channels, strides, windows and output levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from model.arrays import Zyx
from model.checks import check, check_between

MOST_CHANNELS = 4096
"""Largest width of a layer; more is a mistake."""
FULL_RESOLUTION: Zyx = (1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """A network of resolution levels with logits at full resolution and, in training, at coarser ones."""

    out_channels: int
    """Logits per voxel, background included under softmax."""
    in_channels: int = 1
    """Images per voxel; 1 for CT."""

    def __post_init__(self) -> None:
        check_between("out_channels", self.out_channels, 1, MOST_CHANNELS)
        check_between("in_channels", self.in_channels, 1, MOST_CHANNELS)

    @property
    def strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each level after the first is coarser than the one before it."""
        raise NotImplementedError

    @property
    def outputs(self) -> int:
        """How many levels have logits of their own in training, from full resolution down."""
        raise NotImplementedError

    @property
    def stride_zyx(self) -> Zyx:
        """What every side of an input window must be a multiple of, voxels."""
        return product(self.strides_zyx)

    @property
    def output_strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each output in training is coarser than the input, full resolution first.

        With strides (1, 2, 2), (2, 2, 2) and two outputs: (1, 1, 1), (1, 2, 2).
        """
        return tuple(product(self.strides_zyx[:level]) for level in range(self.outputs))

    @property
    def normalized_over(self) -> str:
        """What layers are normalized over: `instance`, `group` or `batch`."""
        return "instance"

    def check_window(self, window_zyx: Zyx) -> None:
        """Refuse a window that the network cannot shrink often enough.

        Raises:
            ValueError: a side is not a multiple of the stride along its axis.
        """
        stride = self.stride_zyx
        fits = all(side > 0 and side % step == 0 for side, step in zip(window_zyx, stride, strict=True))
        check(fits, f"must be multiples of {list(stride)}, is {list(window_zyx)}")

    def has_too_little_to_normalize(self, patch_zyx: Zyx) -> bool:
        """Whether a patch's coarsest level is one voxel, over which there is nothing to normalize.

        Group norm alone has channels to normalize over.
        """
        return self.normalized_over != "group" and tuple(patch_zyx) == self.stride_zyx

    def check_patch(self, patch_zyx: Zyx) -> None:
        """Refuse a patch that the network cannot be trained on.

        Raises:
            ValueError: it has too little to normalize, or is no window for the network.
        """
        self.check_window(patch_zyx)
        check(
            not self.has_too_little_to_normalize(patch_zyx),
            f"must be larger than the network's stride {list(self.stride_zyx)} along an axis at least: "
            f"{self.normalized_over} norm finds a single voxel on the coarsest level",
        )


def product(strides_zyx: Sequence[Zyx]) -> Zyx:
    """The stride of several steps together, axis by axis; (1, 1, 1) for none."""
    z, y, x = (prod(stride[axis] for stride in strides_zyx) for axis in range(3))
    return z, y, x


def check_each(name: str, values: Sequence[int], count: int, low: int, high: int) -> None:
    """Refuse a list that does not have one value from `low` to `high` for each of `count` levels.

    Raises:
        ValueError: it has another length, or a value is outside.
    """
    check(len(values) == count, f"{name}: must be a list of {count}, has {len(values)}")
    for index, value in enumerate(values):
        check_between(f"{name}[{index}]", value, low, high)
