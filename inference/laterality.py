"""Merged kidneys and adrenal glands become right and left, by anatomy in world coordinates.

Arrays are (z, y, x) uint8 in canonical orientation. The middle of the patient is the aorta's centre line, slice by slice;
without an aorta the middle of the body, the inferior vena cava, or the middle of the image. `inference.sides` decides
for each connected part. Adrenals follow the kidneys: the patient's left-right direction, which kidneys show best, and
half-way between the aorta and the middle between the kidneys (FLARE23 low-resource ensemble: "the aorta's centre line and the
two largest kidney components").
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cc3d
import numpy as np
from numpy.typing import NDArray

from inference.found import U8, Found, find_labels
from inference.geometry import Box, Geometry
from inference.midline import STRAIGHT, Index, Midline, line_through, straight_line
from inference.sides import ADRENAL, BIN_MM, CENTRES_MM, KIDNEY, REACH_MM, Anatomy, Part, Side, decide, gap_middle
from model.labels import ADRENALS, BACKGROUND, KIDNEYS, Pair, channel_ids
from model.manifest import Output

F64 = NDArray[np.float64]

LARGEST = 32
"""Parts that are looked at one by one; in the crumbs beyond them each voxel goes to its own side."""
VOXELS_AT_ONCE = 1 << 20
MIN_VESSEL_MM3 = 300.0
"""Less than this of an aorta or vena cava is too little to take the middle from."""
CAVA_TO_MIDDLE_MM = 20.0


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """The merged label map and what it holds."""

    channels: U8
    found: dict[int, Found]
    geometry: Geometry


def split_pairs(channel_labels: U8, geometry: Geometry, output: Output, body_middle: Midline | None = None) -> U8:
    """Label ids from fused channel ids, with each merged pair split into right and left.

    Args:
        channel_labels: (z, y, x) in canonical orientation; 0 is background and n the n-th structure among
            `output.channels` (under softmax, where `background` comes first, that is the channel's index).
        geometry: grid of `channel_labels`.
        output: what the channels mean and which ids are to be written.
        body_middle: the body's middle as the image shows it, for label maps without an aorta.

    Returns:
        A new (z, y, x) uint8 array with ids of `output.labels`.
    """
    label_set = output.as_label_set()
    structures = [channel for channel in output.channels if channel != BACKGROUND]
    channel_of = {name: index for index, name in enumerate(structures, start=1)}
    table = np.zeros(256, np.uint8)
    for name, index in channel_of.items():
        table[index] = channel_ids(label_set, name)[0]
    labels = look_up(table, channel_labels)

    scene = _Scene(channels=channel_labels, found=find_labels(channel_labels), geometry=geometry)
    merged = [p for p in label_set.pairs if p.merged not in label_set.ids and channel_of.get(p.merged, 0) in scene.found]
    if not merged:
        return labels
    line = _midline(scene, channel_of, body_middle)
    for pair in sorted(merged, key=lambda pair: pair != KIDNEYS):
        line = _split(labels, scene, channel_of[pair.merged], pair, (label_set.ids[pair.right], label_set.ids[pair.left]), line)
    return labels


def look_up(table: U8, labels: U8) -> U8:
    """`table[labels]`, slice by slice without index arrays of eight bytes a voxel."""
    answer = np.empty(labels.shape, np.uint8)
    answers = table.tobytes()
    for plane, source in zip(answer, labels, strict=True):
        plane[...] = np.frombuffer(source.tobytes().translate(answers), np.uint8).reshape(source.shape)
    return answer


def _midline(scene: _Scene, channel_of: dict[str, int], body_middle: Midline | None) -> Midline:
    """The best middle at hand."""
    aorta = _vessel(scene, channel_of.get("aorta", 0), 0.0)
    if aorta is not None:
        return aorta
    cava = _vessel(scene, channel_of.get("inferior vena cava", 0), CAVA_TO_MIDDLE_MM)
    return body_middle or cava or straight_line(scene.geometry)


def _vessel(scene: _Scene, channel: int, shift_mm: float) -> Midline | None:
    found = scene.found.get(channel)
    if found is None or found.voxels * scene.geometry.voxel_ml * 1000 < MIN_VESSEL_MM3:
        return None
    return line_through(scene.channels, channel, found, scene.geometry, shift_mm)


def _split(labels: U8, scene: _Scene, channel: int, pair: Pair, ids: tuple[int, int], line: Midline) -> Midline:
    """Write right and left id over a merged channel; returns the line that the pairs after it go by."""
    found = scene.found[channel]
    mask = scene.channels[found.box.slices] == channel
    anatomy = ADRENAL if pair == ADRENALS else KIDNEY
    ranks, parts_count = _rank_parts(mask)
    if pair != ADRENALS:
        line = replace(line, left_xy=_left_direction(mask, scene.geometry))
    parts = _measure(ranks, parts_count, found.box, scene.geometry, line)
    middle, sides = decide(parts, anatomy, line.exact)
    line = replace(line, shift_mm=line.shift_mm + middle)

    right, left = np.array(ids, np.uint8)
    side_table = np.array([0, *(right if side is Side.RIGHT else left for side in sides), 0], np.uint8)
    by_voxel = np.array([False, *(side is Side.CUT for side in sides), True])
    crop = labels[found.box.slices]
    for place, index, rank in _voxels(ranks, found.box):
        values = side_table[rank]
        cut = by_voxel[rank]
        if cut.any():
            z, y, x = index
            values[cut] = np.where(line.lateral_mm((z[cut], y[cut], x[cut]), scene.geometry) > 0, left, right)
        crop[place] = values
    return line if pair == ADRENALS else _for_adrenals(parts, anatomy, line)


def _for_adrenals(parts: list[Part], anatomy: Anatomy, line: Midline) -> Midline:
    """The line moved half-way to the middle between the kidneys, or all the way where it was a guess."""
    between = gap_middle(parts, anatomy)
    if between is None or not line.exact:
        return line
    return replace(line, shift_mm=line.shift_mm + between / 2)


def _rank_parts(mask: NDArray[np.bool_]) -> tuple[U8, int]:
    """Connected parts numbered from the largest, 1, to at most `LARGEST`, one more for all smaller ones; and how many."""
    parts, count = cc3d.connected_components(mask, connectivity=6, return_N=True)
    sizes = np.zeros(count + 1, np.int64)
    for plane in parts:
        sizes += np.bincount(plane.ravel(), minlength=count + 1)
    order = 1 + np.argsort(-sizes[1:], kind="stable")
    kept = min(count, LARGEST)
    rank_of = np.full(count + 1, kept + 1, np.uint8)
    rank_of[0] = 0
    rank_of[order[:kept]] = np.arange(1, kept + 1)
    ranks = np.empty(mask.shape, np.uint8)
    for plane, source in zip(ranks, parts, strict=True):
        plane[...] = rank_of[source]
    return ranks, kept


def _left_direction(mask: NDArray[np.bool_], geometry: Geometry) -> tuple[float, float]:
    """The patient's left in the transverse plane: the long axis of both kidneys together.

    A single kidney has no clear long axis in this plane; neither that nor one more than 45° off is believed.
    """
    spread = _covariance(mask)
    to_world = geometry.matrix @ np.diag(geometry.spacing_zyx_mm[::-1])
    variances, axes = np.linalg.eigh((to_world @ spread[::-1, ::-1] @ to_world.T)[:2, :2])
    x, y = axes[:, 1] * np.sign(axes[0, 1])
    return (float(x), float(y)) if variances[1] > 3 * variances[0] and x > abs(y) else STRAIGHT


def _covariance(mask: NDArray[np.bool_]) -> F64:
    """Covariance (3, 3) of the indices z, y, x of a mask's voxels, from its three projections."""
    spread = np.empty((3, 3))
    grids = [np.arange(size, dtype=np.float64) for size in mask.shape]
    for a, b, along in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        weight = np.count_nonzero(mask, axis=along) / np.count_nonzero(mask)
        of_a, of_b = weight.sum(axis=1), weight.sum(axis=0)
        from_a, from_b = grids[a] - of_a @ grids[a], grids[b] - of_b @ grids[b]
        spread[a, b] = spread[b, a] = from_a @ weight @ from_b
        spread[a, a], spread[b, b] = of_a @ from_a**2, of_b @ from_b**2
    return spread


def _voxels(ranks: U8, box: Box) -> Iterator[tuple[Index, Index, U8]]:
    """The ranked voxels, some slices at a time: their index in `ranks`, in the image that `box` is of, and their rank (n,)."""
    step = max(1, VOXELS_AT_ONCE // (ranks.shape[1] * ranks.shape[2]))
    z0, y0, x0 = box.start_zyx
    for first in range(0, ranks.shape[0], step):
        z, y, x = np.nonzero(ranks[first : first + step])
        z += first
        yield (z, y, x), (z + z0, y + y0, x + x0), ranks[z, y, x]


def _measure(ranks: U8, count: int, box: Box, geometry: Geometry, line: Midline) -> list[Part]:
    """What `decide` needs of the parts 1 to `count`."""
    bins = CENTRES_MM.size
    profiles = np.zeros((count + 2) * bins)
    foot, head = np.full(count + 2, ranks.shape[0]), np.full(count + 2, -1)
    for (z, _, _), index, rank in _voxels(ranks, box):
        place = np.clip((line.lateral_mm(index, geometry) + REACH_MM) / BIN_MM, 0, bins - 1).astype(np.intp)
        profiles += np.bincount(rank * np.intp(bins) + place, minlength=profiles.size)
        np.minimum.at(foot, rank, z)
        np.maximum.at(head, rank, z + 1)
    mm3, mm = geometry.voxel_ml * 1000, geometry.spacing_zyx_mm[0]
    return [
        Part(profile_mm3=profile * mm3, foot_mm=float(a * mm), head_mm=float(b * mm))
        for profile, a, b in zip(profiles.reshape(count + 2, bins)[1:-1], foot[1:-1], head[1:-1], strict=True)
    ]
