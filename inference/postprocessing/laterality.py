"""Merged kidneys and adrenal glands become right and left, by anatomy in world coordinates.

Arrays are (z, y, x) uint8 in canonical orientation. The middle of the patient is the aorta's centre line,
level by level. Without an aorta it is the middle of the body, else a line beside the inferior vena cava, else
what the other organs' places suggest, else the middle of the image. `inference.postprocessing.sides` decides
for each connected part.

Adrenals follow the kidneys: these show best how far the patient is rotated, and the middle at the adrenals'
level is taken half-way between the aorta and the middle between the kidneys. An adrenal keeps its place when
the kidney does not.

Source: FLARE23 low-resource ensemble, "the aorta's centre line and the two largest kidney components".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inference.geometry import Geometry
from inference.postprocessing.label_statistics import Found, find_labels
from inference.postprocessing.midline import Midline, line_through, middle_by_organs, middle_of_image
from inference.postprocessing.paired_parts import left_direction, measure_parts, rank_parts
from inference.postprocessing.runs import Runs, fill, find_runs, voxels_of
from inference.postprocessing.sides import ADRENAL, KIDNEY, Side, assign_sides, gap_middle
from model.arrays import U8, Mask
from model.labels import ADRENALS, KIDNEYS, LabelSet, Pair, Table, channel_ids, look_up
from model.manifest.output import Output

MIN_VESSEL_MM3 = 300.0
"""Less than this of an aorta or vena cava is too little to take the middle from."""
CAVA_TO_MIDDLE_MM = 20.0


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """A map of channels and what it holds."""

    runs: Runs
    found: Mapping[str, Found]
    """By channel name."""
    number: Mapping[str, int]
    """Label of each channel in `runs`."""
    geometry: Geometry


@dataclass(frozen=True, kw_only=True)
class _Sided:
    """A map of label ids in the making; all of it is changed in place."""

    labels: U8
    """(z, y, x)."""
    ids: U8
    """(n,) of the scene's runs."""
    is_cut: Mask
    """(n,) which runs hold two ids, or may."""


def split_pairs(
    channel_labels: U8,
    geometry: Geometry,
    output: Output,
    body: Callable[[], Midline | None] = lambda: None,
) -> U8:
    """Label ids from fused channels, with each merged pair split into right and left.

    Args:
        channel_labels: (z, y, x) in canonical orientation; 0 is background and n the n-th of
            `output.structures`.
        geometry: grid of `channel_labels`.
        output: what the channels mean and which ids are to be written.
        body: finds the middle of the body, by `inference.postprocessing.midline.body_middle`; asked only
            where there is no aorta.

    Returns:
        A new (z, y, x) uint8 array with ids of `output.labels`.

    Raises:
        ScatteredError: there are pairs to split, and the labels are noise.
    """
    return split_with_runs(channel_labels, geometry, output, body)[0]


def split_with_runs(
    channel_labels: U8,
    geometry: Geometry,
    output: Output,
    body: Callable[[], Midline | None] = lambda: None,
) -> tuple[U8, Runs | None]:
    """As `split_pairs`, with the runs of its result where they were found on the way; None: they were not."""
    label_set = output.as_label_set()
    number, channel_labels = _by_structure(channel_labels, output)
    labels = _one_side(channel_labels, number, label_set)
    if not any(_is_merged(pair, number, label_set) for pair in label_set.pairs):
        return labels, None
    runs = find_runs(channel_labels, len(number))
    found = find_labels(runs)
    scene = _Scene(
        runs=runs,
        found={n: found[i] for n, i in number.items() if i in found},
        number=number,
        geometry=geometry,
    )
    ids = _table_of(number, label_set)[runs.label]
    sided = _Sided(labels=labels, ids=ids, is_cut=np.zeros(len(runs), bool))
    line = _midline(scene, body)
    for pair in sorted(label_set.pairs, key=lambda pair: pair != KIDNEYS):
        line = _split(sided, scene, pair, label_set, line)
    return labels, None if sided.is_cut.any() else replace(runs, label=sided.ids)


def split_noise(channel_labels: U8, geometry: Geometry, output: Output, body: Midline | None = None) -> U8:
    """As `split_pairs` for labels that are noise: each voxel is of the side on which it lies.

    Some slices are done at a time, since there may be as many pieces as voxels.
    """
    label_set = output.as_label_set()
    number, channel_labels = _by_structure(channel_labels, output)
    labels = _one_side(channel_labels, number, label_set)
    line = body or middle_of_image(geometry)
    for pair in label_set.pairs:
        if not _is_merged(pair, number, label_set):
            continue
        for z, plane in enumerate(channel_labels):
            y, x = np.nonzero(plane == number[pair.merged])
            is_left = line.lateral_mm((np.full(y.size, z), y, x), geometry) > 0
            labels[z, y, x] = np.where(is_left, label_set.ids[pair.left], label_set.ids[pair.right])
    return labels


def _one_side(channel_labels: U8, number: Mapping[str, int], label_set: LabelSet) -> U8:
    """Label ids (z, y, x) from channels, merged pairs as one of their sides."""
    return look_up(_table_of(number, label_set), channel_labels)


def _table_of(number: Mapping[str, int], label_set: LabelSet) -> Table:
    """Table from channel to label id, (256,), merged pairs as one of their sides."""
    table: Table = np.zeros(256, np.uint8)
    for name, index in number.items():
        table[index] = channel_ids(label_set, name)[0]
    return table


def _by_structure(channel_labels: U8, output: Output) -> tuple[dict[str, int], U8]:
    """Names of what is written and the value of each, and the map in which they have these values.

    Channels that are written as the same structure become one, those that are dropped become background.
    """
    written = [output.structure_of(channel) for channel in output.structures]
    if len(set(written)) == len(written) and None not in written:
        return {name: index for index, name in enumerate(written, start=1) if name}, channel_labels
    number = {name: index for index, name in enumerate(dict.fromkeys(filter(None, written)), start=1)}
    table = np.zeros(256, np.uint8)
    for index, name in enumerate(written, start=1):
        table[index] = number[name] if name else 0
    return number, look_up(table, channel_labels)


def _is_merged(pair: Pair, names: Mapping[str, object], label_set: LabelSet) -> bool:
    return pair.merged in names and pair.merged not in label_set.ids


def _midline(scene: _Scene, body: Callable[[], Midline | None]) -> Midline:
    """The best middle at hand."""
    aorta, cava = _vessel(scene, "aorta"), _vessel(scene, "inferior vena cava")
    beside_cava = replace(cava, shift_mm=CAVA_TO_MIDDLE_MM) if cava else None
    return (
        aorta
        or body()
        or beside_cava
        or middle_by_organs(scene.found, scene.geometry)
        or middle_of_image(scene.geometry)
    )


def _vessel(scene: _Scene, name: str) -> Midline | None:
    found = scene.found.get(name)
    if found is None or found.voxels * scene.geometry.voxel_ml * 1000 < MIN_VESSEL_MM3:
        return None
    return line_through(scene.runs.of([scene.number[name]]), scene.geometry)


def _split(sided: _Sided, scene: _Scene, pair: Pair, label_set: LabelSet, line: Midline) -> Midline:
    """Write right and left over a merged channel; returns the line that later pairs go by.

    Kidneys that the network told apart itself are only measured, for the line's sake.
    """
    merged = _is_merged(pair, scene.found, label_set)
    names = [name for name in ((pair.merged,) if merged else (pair.right, pair.left)) if name in scene.found]
    if not names or not (merged or pair == KIDNEYS):
        return line
    chosen = scene.runs.has([scene.number[name] for name in names])
    organs = scene.runs.where(chosen)
    if pair != ADRENALS:
        line = replace(line, left_xy=left_direction(organs, scene.geometry))
    anatomy = ADRENAL if pair == ADRENALS else KIDNEY
    ranks, count = rank_parts(organs)
    parts = measure_parts(organs, ranks, count, scene.geometry, line)
    middle, sides = assign_sides(parts, anatomy, line.exact)
    own_line = replace(line, shift_mm=line.shift_mm + middle)
    if merged:
        ids = label_set.ids[pair.right], label_set.ids[pair.left]
        place = own_line, scene.geometry
        sided.ids[chosen], sided.is_cut[chosen] = _write(sided.labels, organs, ranks, sides, ids, place)
    between = gap_middle(parts, anatomy) if pair == KIDNEYS and line.exact and not middle else None
    return replace(own_line, shift_mm=own_line.shift_mm + between / 2) if between is not None else own_line


def _write(
    labels: U8,
    organs: Runs,
    ranks: U8,
    sides: Sequence[Side],
    ids: tuple[int, int],
    place: tuple[Midline, Geometry],
) -> tuple[U8, Mask]:
    """Write right and left ids over the parts of a pair.

    Whole parts get the id of their side; of parts that are cut, and of crumbs, each voxel gets that of its
    own.

    Returns:
        The id of each run of `organs` (n,), and which of them are cut.
    """
    (right, left), (line, geometry) = np.array(ids, np.uint8), place
    side_of = np.array([right, *(left if side is Side.LEFT else right for side in sides), right], np.uint8)
    is_cut = np.array([False, *(side is Side.CUT for side in sides), True])[ranks]
    whole = ~is_cut
    written = side_of[ranks]
    fill(labels, organs.where(whole), written[whole])
    for index, _ in voxels_of(organs.where(is_cut)):
        labels[index] = np.where(line.lateral_mm(index, geometry) > 0, left, right)
    return written, is_cut
