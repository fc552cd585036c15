"""The series of a DICOM folder that a user names, and how series are described for that."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from inference.errors import InputError
from inference.imaging.formats.dicom_discord import commonest
from inference.imaging.formats.dicom_file import DicomImage
from model.case_names import printable

UNKNOWN = "of unknown modality"
NAME = 80
"""Characters of a series' number and description that are told."""


def asked_stacks(
    path: Path, stacks: Sequence[list[DicomImage]], asked: str
) -> tuple[list[list[DicomImage]], list[list[DicomImage]]]:
    """Those of several stacks of images that are of the series that is asked for.

    Args:
        path: the folder or the file, for messages.
        stacks: of at least one image each.
        asked: the SeriesInstanceUID of one, or a SeriesNumber that only one has.

    Returns:
        Its stacks; and those of images that are not read and name no series, which may be a part of it.

    Raises:
        InputError: no series is called so, or several are; the line lists all.
    """
    of_series = [stack for stack in stacks if stack[0].series_uid == asked]
    if not of_series:
        of_series = [stack for stack in stacks if stack[0].series_number == asked]
    if len({stack[0].series_uid for stack in of_series}) != 1:
        several = "several series of the number" if of_series else "no series"
        raise InputError(
            f"{path}: holds {several} {printable(asked)}; name one of these: {listed_series(stacks)}"
        )
    uid = of_series[0][0].series_uid
    nameless = [stack for stack in stacks if uid and stack[0].unread and not stack[0].series_uid]
    return of_series, nameless


def listed_series(stacks: Iterable[Sequence[DicomImage]]) -> str:
    """All series in one line, the longest first.

    One is `1.2.3 [2 AX PV]: 120 CT images of 0.7×0.7 mm, 2.5 mm apart`. Size and distance are those of most
    of a series' images, as far as they say them.

    Args:
        stacks: images of one series, size and direction each.
    """
    by_uid: dict[str, list[Sequence[DicomImage]]] = defaultdict(list)
    for stack in stacks:
        by_uid[stack[0].series_uid].append(stack)
    series = sorted(by_uid.values(), key=lambda those: -sum(map(len, those)))
    return "; ".join(map(_described, series))


def name_of_series(stack: Sequence[DicomImage]) -> str:
    """` [3 AX 2.0 PV]`: number and description of a series, as far as its first image says them."""
    said = f"{stack[0].series_number} {stack[0].series_description}".strip()
    return f" [{printable(said[:NAME])}]" if said else ""


def _described(stacks: Sequence[Sequence[DicomImage]]) -> str:
    count, most = sum(map(len, stacks)), max(stacks, key=len)
    uid, modality = most[0].series_uid or "without a UID", commonest(most, lambda image: image.modality)
    kind = f" {printable(modality)}" if modality else ""
    images = f"{count}{kind} image{'s' * (count != 1)}"
    if size_yx_mm := commonest(most, lambda image: image.spacing_yx_mm):
        images += " of {1:.3g}×{0:.3g} mm".format(*size_yx_mm)
    positions = [image.position_mm for image in most if image.position_mm]
    if len(positions) > 1:
        apart = float(np.median(np.diff(np.sort(np.array(positions) @ most[0].normal))))
        images += f", {apart:.3g} mm apart"
    return f"{printable(uid)}{name_of_series(most)}: {images}"
