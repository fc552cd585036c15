"""What makes an image doubtful before a network sees it: no CT in Hounsfield units, too little of it, gaps.

Values are judged by a sample, so that a scan of any size costs some milliseconds. What a CT has at known
places are air (-1000 HU), fat (about -100) and soft tissue (0 to 100, more with contrast); what it may have
besides is left out of the judgement: padding (-2000, -3024), bone, metal, contrast.
"""

from math import ceil

import numpy as np

from inference.geometry import Geometry
from inference.imaging.channels import DICOM_MODALITIES
from inference.imaging.volume import Volume
from model.arrays import F32, Voxels
from model.manifest.document import Manifest

SAMPLE_SIDES = (48, 64, 64)
"""Voxels of a sample along z, y and x, about."""
FEWEST_VOXELS = 1000
"""A smaller sample says nothing about values."""
PADDING_HU = -1500.0
"""Scanners fill with less than this what lies outside the field of view."""
DARK_HU = -300.0
"""Between air and fat; what is above is body."""
NO_AIR_HU = -30.0
"""Fat and air lie below it, and any piece of a body holds some."""
TISSUE_HU = (-200.0, 300.0)
DENSE_HU = 700.0
"""Cortical bone and metal."""
AIR_RANGE_HU = (-1100.0, -750.0)
"""Where the darkest material of a CT lies: air outside the body or, in a cropped image, lung."""
BIN_HU = 50.0
LEAST_SPREAD_HU = 200.0
FEW_VALUES = 256
FEW_SLICES = 8
"""Fewer from feet to head give a network that learned from whole scans little to go by."""
LEAST_HEIGHT_MM = 25.0
"""Six of six synthetic slabs of the embedded bundle below it, and five of 22 from there to 60 mm, had a mean
organ Dice below 0.8 (docs/trust.md)."""
THICK = 4.0
"""Slices more than this many times as far apart as the networks' own voxels show them little. From 2.5 to
4 times 11 of 12 synthetic scans had a mean organ Dice of 0.8 or more with the embedded bundle
(docs/trust.md)."""
EXPECT_POOR = "expect poor labels, give the whole scan"
HU_REMEDY = "give a CT in Hounsfield units (air -1000, fat -100, water 0), rescale slope and offset applied"


def sample_of(array: Voxels) -> F32:
    """Every n-th voxel along each axis of an image (z, y, x), about `SAMPLE_SIDES` of them.

    The first lies half a step from the edge.
    """
    steps = [max(1, ceil(size / side)) for size, side in zip(array.shape, SAMPLE_SIDES, strict=True)]
    z, y, x = (slice((step - 1) // 2, None, step) for step in steps)
    return array[z, y, x].astype(np.float32)


def input_doubts(canonical: Volume, manifest: Manifest) -> tuple[str, ...]:
    """What the user should know of an image before its result is trusted, a sentence each.

    What its reader doubted comes first: slices that are not where they were taken to be, voxels without a
    value.

    What a file says of its modality is held against the manifest's; values are judged for channels that the
    manifest calls CT. A channel of an unknown kind (`other`) may be anything.

    Args:
        canonical: in S, P, L order.
        manifest: says what its networks expect.
    """
    doubts = [*canonical.doubts, *_slice_doubts(canonical.geometry, manifest)]
    stated = canonical.modalities or ("",) * len(canonical.channels)
    for channel, array, modality in zip(manifest.inputs, canonical.channels, stated, strict=True):
        wanted = DICOM_MODALITIES[channel.modality]
        is_ct = channel.modality == "CT"
        if modality and wanted and modality != wanted:
            remedy = HU_REMEDY if is_ct else f"give a series whose modality is {wanted}"
            doubts.append(f"its modality is {modality}, and the bundle is for {channel.modality}; {remedy}")
        elif is_ct and (seen := value_doubt(sample_of(array))):
            doubts.append(f"{seen}; {HU_REMEDY}")
    return tuple(doubts)


def value_doubt(sample: F32) -> str:
    """Why values (any shape) are not those of a CT in HU; empty where they may be."""
    values = sample[np.isfinite(sample)]
    if values.size < FEWEST_VOXELS:
        return ""
    lowest, highest = float(values.min()), float(values.max())
    distinct = np.unique(values)
    if distinct.size <= FEW_VALUES and lowest >= 0 and (distinct == np.round(distinct)).all():
        count = f"{distinct.size} different value{'s' * (distinct.size > 1)}"
        return f"holds only {count} from {lowest:g} to {highest:g}, as a label map or a picture does"
    padding = values < PADDING_HU
    if padding.mean() > 0.02 and np.unique(values[padding]).size > 20:
        middle = float(np.median(values[padding]))
        return f"its air lies at about {middle:.0f}, not at -1000"
    values = values[~padding]
    if not values.size:
        return "holds nothing but padding"
    return _place_doubt(values)


def _place_doubt(values: F32) -> str:
    """Why values (n,) without padding do not lie where those of a CT do; empty where they do."""
    spread = f"its values lie between {np.percentile(values, 0.5):.0f} and {np.percentile(values, 99.5):.0f}"
    if np.mean(values < NO_AIR_HU) < 0.005:
        return f"{spread}, with neither air nor fat where a CT has them"
    if np.mean(values > DENSE_HU) > 0.2:
        return f"{spread}, much of it as dense as bone"
    if np.mean((values > TISSUE_HU[0]) & (values < TISSUE_HU[1])) < 0.01:
        return f"{spread}, with hardly any soft tissue where a CT has it"
    if np.percentile(values, 99.5) - np.percentile(values, 0.5) < LEAST_SPREAD_HU:
        return f"{spread} alone, less apart than fat and vessels"
    air = _peak(values[values < DARK_HU])
    if air is not None and not AIR_RANGE_HU[0] <= air <= AIR_RANGE_HU[1]:
        return f"its air lies at about {air:.0f}, not at -1000"
    return ""


def _peak(dark: F32) -> float | None:
    """Where most of the dark values (n,) lie together, as air does; None where they do not."""
    if dark.size < FEWEST_VOXELS // 10:
        return None
    counts, edges = np.histogram(dark, np.arange(PADDING_HU, DARK_HU + 1, BIN_HU))
    pairs = counts[:-1] + counts[1:]
    most = int(pairs.argmax())
    return float(edges[most + 1]) if pairs[most] > 0.6 * dark.size else None


def _slice_doubts(geometry: Geometry, manifest: Manifest) -> list[str]:
    """Too few slices, too thin a slab, slices too far apart."""
    slices, apart_mm = geometry.size_zyx[0], geometry.spacing_zyx_mm[0]
    doubts = []
    if slices < FEW_SLICES:
        doubts.append(f"has only {slices} slice{'s' * (slices > 1)} from feet to head; {EXPECT_POOR}")
    elif slices * apart_mm < LEAST_HEIGHT_MM:
        doubts.append(f"covers only {slices * apart_mm:.0f} mm from feet to head; {EXPECT_POOR}")
    own_mm = [member.spacing_zyx_mm[0] for member in manifest.members if "z" not in member.kept_spacing]
    if own_mm and manifest.preprocessing.orientation != "stored" and apart_mm > THICK * max(own_mm):
        doubts.append(
            f"its slices are {apart_mm:.1f} mm apart, the networks' own {max(own_mm):g} mm; expect poor "
            "labels, give thinner slices"
        )
    return doubts


def body_area_cm2(canonical: Volume, ct_channel: int) -> float:
    """How large the body is in cross-section: the upper quartile over the slices of a CT, in cm².

    The table, and arms beside the body, count too; what the field of view cuts off does not.
    """
    array, spacing = canonical.channels[ct_channel], canonical.geometry.spacing_zyx_mm
    filled = (sample_of(array) > DARK_HU).mean(axis=(1, 2))
    plane_cm2 = array.shape[1] * array.shape[2] * spacing[1] * spacing[2] / 100
    return float(np.percentile(filled, 75) * plane_cm2)
