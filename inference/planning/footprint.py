"""What a run keeps in memory, item by item: the figures under a plan. Sizes are in MiB.

Measured on Linux x86-64 with the versions in `requirements`; `tests/inference/planning/test_peaks.py` holds
them against real peaks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from inference.planning.window_levels import waiting
from inference.planning.writing_cost import WritingCost
from inference.postprocessing.components import BLOCK_BYTES, blocks_zyx
from inference.postprocessing.runs import RUN_BYTES, VISIT_BYTES, VOXELS_AT_ONCE, most_runs
from inference.preprocessing.model_grid import input_scheme
from inference.preprocessing.resampling import SPLINE_REACH, apart_in_plane
from inference.restoration.boundaries import BATCH_VOXELS
from inference.runtime.backends import Backend
from inference.sliding_window.groups import whole_windows
from inference.sliding_window.member_votes import points_over
from inference.sliding_window.streams import restored_slices
from model.arrays import Zyx, ZyxMm
from model.manifest.clean_up import CleanUpStep, NearOtherStructures
from model.manifest.document import Manifest
from model.manifest.fusion import RestoredEnsemblesFusion, fused_scores
from model.manifest.intensity import needs_mask
from model.manifest.network import Localization, Member, Network
from model.manifest.resampling import along_axes
from model.units import MIB

LIBRARIES_MB: Mapping[Backend, float] = {"openvino": 64.0, "onnxruntime": 58.0, "cuda": 810.0}
"""Python, numpy, cc3d and the runtime's own code, loaded. CUDA's figure is an estimate."""
VOXEL_BYTES = 2
"""What a voxel of a channel takes: int16, as CT has it; images with fractions are float32 and take twice
that."""
BATCH_BYTES = 170
"""What a boundary voxel of a batch takes while its scores are interpolated."""
HOLES_BYTES = 8
"""What a voxel takes, beside the mask for normalization, while its holes are filled: component numbers, the
mask's inverse and copies of it. Peaks of 200³ and 300³ voxels were 7 as stored, 8 with axes exchanged."""
PARTS_BYTES = 16
"""What a voxel of localization takes, beside its mask, while connected parts are looked for, where all of it
is organs: their numbers, those under the mask, and the same as counters. Peaks of 200³ and 400³ voxels were
1 where nothing was found, 4 with a cube of an eighth, 10 with noise, and 16."""
LOCATED_VALUES = 6
"""float32 values that a voxel of localization's window takes beside the input: how much it counts, scores of
the background and of all organs, and copies on the way to them."""
SPLINE_TAPS = 2 * SPLINE_REACH + 4
SPLINE_THREADS = 4
"""Threads that resample at a time, for the estimate."""


def image_mb(size_zyx: Zyx, bytes_each: int = VOXEL_BYTES) -> float:
    """Memory of an image's voxels."""
    return _mb(size_zyx, bytes_each)


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What there is to keep."""

    manifest: Manifest
    image_zyx: Zyx
    """Size of the image, in the orientation in which it is looked at."""
    spacing_zyx_mm: ZyxMm
    """Spacing of the image."""
    voxel_bytes: int
    """What a voxel of the image takes, all channels together."""
    region_zyx: Zyx
    """Size of what is segmented, on the image's grid."""
    groups: Sequence[tuple[Zyx, Sequence[Member]]]
    """Grid and members of each group."""
    kept: Sequence[Zyx]
    """Grids of the groups whose scores are kept for the whole region."""
    writing: WritingCost = field(default_factory=WritingCost)
    """Results beside the label map."""
    reading_mb: float = 0.0
    """MiB that reading the image takes beside its voxels; 0 once it was read."""
    located_zyx: Zyx | None = None
    """Grid on which the organs are localized first; None where they are not, or were."""

    def host(self, backend: Backend, networks_mb: float) -> dict[str, dict[str, float]]:
        """MiB by stage and item.

        Args:
            backend: what runs the networks.
            networks_mb: what the networks loaded at a time take, as far as they lie in host memory.
        """
        inputs = len(self.manifest.inputs)
        image = f"image ({'int16' if self.voxel_bytes == VOXEL_BYTES * inputs else 'float32'})"
        always = {
            "libraries": LIBRARIES_MB[backend] + self.writing.libraries_mb,
            image: _mb(self.image_zyx, self.voxel_bytes),
            "networks": networks_mb,
            "mask (bool)": _mb(self.image_zyx, 1) if self._needs_mask else 0.0,
            "votes (uint8)": self._votes_mb,
        }
        return {stage: {**always, **items} for stage, items in self._stages()}

    def _stages(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Stages that the case goes through; what each takes, beside or in place of what there always is."""
        if self.reading_mb:
            later = {"mask (bool)": 0.0, "votes (uint8)": 0.0}
            yield "reading", {**later, "pieces of the file": self.reading_mb}
        if self.located_zyx is not None and self.manifest.localization is not None:
            yield "localization", self._localization(self.located_zyx, self.manifest.localization)
        yield "networks", self._running()
        yield "clean-up", self._cleaning_up()
        if self.manifest.cleans_before_fusion:
            yield "clean-up before fusion", self._cleaning_up_before_fusion()
        if self.writing.voxel_bytes:
            results = {"DICOM results": self.writing.mb(self.image_zyx)}
            yield "writing", {"labels (uint8)": _mb(self.image_zyx, 1), **results}
        if self._needs_mask:
            yield "mask", {"its holes": _mb(self.image_zyx, HOLES_BYTES)}

    def _running(self) -> dict[str, float]:
        """MiB by item while networks run and their scores become labels."""
        return {
            "labels (uint8)": _mb(self.image_zyx, 1),
            "scores (float32)": sum(self._buffer_mb(grid, members) for grid, members in self.groups),
            "input slices (float32)": sum(self._input_mb(grid, members) for grid, members in self.groups),
            "resampling": max(self._resampling_mb(grid, members[0]) for grid, members in self.groups),
            "window": max(
                self._window_mb(member) + self._importance_mb(grid, members)
                for grid, members in self.groups
                for member in members
            ),
            "waiting slabs": self._waiting_mb(),
            "kept (float32)": self._kept_mb,
            "removed (uint8, bool)": self._removed_mb,
            "restored (float32)": self._restored_mb(),
            "restoration": self._restoration_mb(),
        }

    def _cleaning_up(self) -> dict[str, float]:
        """MiB by item while the label map is cleaned up."""
        steps, structures = self.manifest.postprocessing, len(self.manifest.output.labels)
        return {
            "labels (uint8)": _mb(self.image_zyx, self._maps_in_clean_up),
            **_clean_up_mb(self.image_zyx, self.spacing_zyx_mm, structures, steps),
        }

    def _cleaning_up_before_fusion(self) -> dict[str, float]:
        """MiB by item while what a group found is cleaned up by itself, on the largest of their grids."""
        grid, members = max(self.groups, key=lambda group: prod(group[0]))
        steps = [step for _, of in self.groups for step in self.manifest.clean_up_of(of[0].ensemble)]
        structures = len(self.manifest.output.labels)
        return {
            "labels (uint8)": _mb(self.image_zyx, 1) + _mb(grid, self._maps_in_clean_up),
            "kept (float32)": self._kept_mb,
            "removed (uint8, bool)": self._removed_mb,
            **_clean_up_mb(grid, members[0].spacing_zyx_mm, structures, steps),
        }

    def _localization(self, grid: Zyx, network: Localization) -> dict[str, float]:
        """MiB by item while organs are localized; its mask is joined of slabs before its parts are found."""
        inputs, slab = len(self.manifest.inputs), _slab(grid, network)
        return {
            "scores (float32)": _mb(slab, 4 * (2 + 1)),
            "input slices (float32)": _mb(slab, 2 * 4 * inputs),
            "resampling": self._resampling_mb(grid, network),
            "window": _mb(network.window_zyx, 4 * (inputs + LOCATED_VALUES)),
            "organs (bool)": _mb(grid, 1),
            "parts": _mb(grid, PARTS_BYTES),
        }

    @property
    def _channels(self) -> int:
        return len(self.manifest.output.channels)

    @property
    def _maps_in_clean_up(self) -> int:
        """Label maps at a time: a map, its next version, and that in between where structures are renamed."""
        return 2 + bool(self.manifest.output.written_as)

    @property
    def _needs_mask(self) -> bool:
        networks = self.manifest.networks().values()
        return any(needs_mask(each) for network in networks for each in self.manifest.intensities_of(network))

    @property
    def _votes_mb(self) -> float:
        """What each of several members says by itself, on a coarse grid."""
        members = len(self.manifest.members)
        return _mb(points_over(self.region_zyx, self.spacing_zyx_mm), members) if members > 1 else 0.0

    @property
    def _kept_mb(self) -> float:
        """Scores of the whole region that are looked at twice."""
        return sum(_mb(grid, 4 * self._channels) for grid in self.kept)

    @property
    def _removed_mb(self) -> float:
        """What clean-up before the fusion decided and removed, on each group's grid, and gaps beside it.

        Slabs come and go among these arrays, so that the allocator cannot give back all that is freed: equal
        runs of three ensembles differed by 15 MiB, twice what the largest map takes.
        """
        if not self.manifest.cleans_before_fusion:
            return 0.0
        return sum(_mb(grid, 2) for grid, _ in self.groups) + max(_mb(grid, 1) for grid, _ in self.groups)

    def _buffer_mb(self, grid: Zyx, members: Sequence[Member]) -> float:
        """Running mean and weights, a window deep.

        Where scores stay where a network wrote them: those of the first of two networks.
        """
        if len(self.groups) == 1 and whole_windows(grid, members):
            return _mb(members[0].window_zyx, 4 * self._channels) if len(members) > 1 else 0.0
        return _mb(_slab(grid, members[0]), 4 * (self._channels + 1))

    def _importance_mb(self, grid: Zyx, members: Sequence[Member]) -> float:
        """How much a window counts at each of its voxels, and that times a member's weight."""
        if len(self.groups) == 1 and whole_windows(grid, members):
            return 0.0
        return _mb(members[0].window_zyx, 4 * (1 + any(member.weight != 1 for member in members)))

    def _input_mb(self, grid: Zyx, members: Sequence[Member]) -> float:
        """The slices under a row of windows, and while the next ones are made those that stay."""
        schemes = len({input_scheme(self.manifest, member) for member in members})
        return 2 * schemes * len(self.manifest.inputs) * _mb(_slab(grid, members[0]), 4)

    def _resampling_mb(self, grid: Zyx, network: Network) -> float:
        """Slices that a spline along z needs at a time, in each thread.

        Along an axis that is resampled apart they are still as long as the image.
        """
        resampling = self.manifest.resampling_of(network)
        along = along_axes(resampling, self.spacing_zyx_mm, network.spacing_zyx_mm)
        if along[0] != "cubic":
            return 0.0
        apart, (_, height, width) = apart_in_plane(along), self.region_zyx
        planes = min(self.region_zyx[0], SPLINE_TAPS) * SPLINE_THREADS
        return _mb((planes, height if apart == 1 else grid[1], width if apart == 2 else grid[2]), 4)

    def _window_mb(self, member: Member) -> float:
        """A window, and its scores where they are turned or averaged on the way."""
        copies = int(bool(member.tiling.mirror_axes) or member.axes != "SPL")
        return _mb(member.window_zyx, 4 * (len(self.manifest.inputs) + copies * self._channels))

    def _waiting_mb(self) -> float:
        """Slabs that wait for those of the finest grid, where they do not begin and end with them."""
        rows = [
            None if index < len(self.kept) else (members[0].window_zyx[0], members[0].tiling.overlap)
            for index, (_, members) in enumerate(self.groups)
        ]
        waits = waiting([grid for grid, _ in self.groups], rows)
        return sum(
            2 * self._buffer_mb(grid, members)
            for (grid, members), waits_here in zip(self.groups, waits, strict=True)
            if waits_here or self._restores_ensembles
        )

    @property
    def _restores_ensembles(self) -> bool:
        return isinstance(self.manifest.fusion, RestoredEnsemblesFusion)

    @property
    def _restored_slab(self) -> Zyx:
        """What ensembles give out at a time on the image's grid."""
        return restored_slices(self.region_zyx, self._channels), self.region_zyx[1], self.region_zyx[2]

    def _restored_mb(self) -> float:
        """Of each ensemble what it gave out and what comes next, and a channel on the way there."""
        if not self._restores_ensembles:
            return 0.0
        return len(self.groups) * _mb(self._restored_slab, 4 * (2 * self._channels + 3))

    def _restoration_mb(self) -> float:
        """What one slab needs: sure and possible channels, boundary voxels of a batch, the last slice."""
        grid, members = max(self.groups, key=lambda group: prod(group[0]))
        depth, height, width = self._restored_slab if self._restores_ensembles else _slab(grid, members[0])
        channels = self._channels
        bits = 1 if channels <= 8 else 2 if channels <= 16 else 4 * -(-channels // 32)
        ceiling = 8 if fused_scores(self.manifest.fusion) == "logits" else 0
        of_grid = depth * height * width * (1 + 2 * bits + ceiling)
        of_input = depth * self.region_zyx[1] * self.region_zyx[2] * 3
        batch = min(BATCH_VOXELS, prod(self.region_zyx)) * BATCH_BYTES
        return (of_grid + of_input + batch + 3 * height * width * 4 * channels) / MIB


def _clean_up_mb(
    size_zyx: Zyx, spacing_zyx_mm: ZyxMm, structures: int, steps: Sequence[CleanUpStep]
) -> dict[str, float]:
    """MiB by item while a label map's parts are looked for.

    Its runs and some of its voxels; and blocks between which distances are measured, where a step asks for
    them.
    """
    voxels = prod(size_zyx)
    runs, visited = min(most_runs(voxels, structures), voxels), min(VOXELS_AT_ONCE, voxels)
    far = any(isinstance(step, NearOtherStructures) for step in steps)
    return {
        "parts": (runs * RUN_BYTES + visited * VISIT_BYTES) / MIB,
        "distances": prod(blocks_zyx(size_zyx, spacing_zyx_mm)) * BLOCK_BYTES / MIB if far else 0.0,
    }


def _slab(grid: Zyx, network: Network) -> Zyx:
    return min(grid[0], network.window_zyx[0]), grid[1], grid[2]


def _mb(size_zyx: Zyx, bytes_each: float) -> float:
    depth, height, width = size_zyx
    return depth * height * width * bytes_each / MIB
