"""What all training loops of the benchmark have in common, so that they do the same work."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

SPACING_MM = 3.0
"""Spacing of the cases and of the networks' grid: nothing is resampled."""
LOWEST_HU, HIGHEST_HU, MEAN_HU, DEVIATION_HU = -250.0, 250.0, 40.0, 80.0
"""Of the window, and of the z-score where a loop uses one."""
STRUCTURES = 14
"""Structures of label set FLARE23, a channel each."""
CHANNELS = STRUCTURES + 1
"""Logits per voxel, background included."""
UNET_LEVELS = 5
"""Levels of nnU-Net's U-Net; the coarsest of the four with logits of their own weighs 0."""
SEGRESNET_BLOCKS = (1, 2, 2, 4, 4)
"""Auto3DSeg's SegResNetDS."""
WIDEST = 320
"""Channels at most of nnU-Net's U-Net in 3D."""


@dataclass(frozen=True, kw_only=True)
class LoopSetting:
    """The work that every loop does."""

    patch: int
    """Side of the cubic patches, voxels."""
    batch: int
    """Patches of a step."""
    width: int
    """Channels of the networks at full resolution."""
    warm_up: int
    """Steps before those that count; at least as many as the loops keep batches ready (nnU-Net: six)."""
    steps: int
    """Steps that count."""
    threads: int
    """CPU threads of the network."""
    workers: int
    """Processes, or threads, that make batches."""
    device: str
    """cpu or cuda."""

    @property
    def all_steps(self) -> int:
        """Steps to run."""
        return self.warm_up + self.steps

    @property
    def features(self) -> list[int]:
        """Channels of the U-Net's levels, full resolution first."""
        return [min(self.width * 2**level, WIDEST) for level in range(UNET_LEVELS)]


def write_setting(path: Path, setting: LoopSetting) -> None:
    """Write a setting for the programs that run the loops."""
    path.write_text(json.dumps(asdict(setting)) + "\n", encoding="utf-8")


def read_setting(path: Path) -> LoopSetting:
    """What `write_setting` wrote."""
    return LoopSetting(**json.loads(path.read_text(encoding="utf-8")))
