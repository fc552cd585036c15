"""Files of a DICOM series that are there twice, as `s003.dcm` and `s003 (1).dcm`."""

import filecmp
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.imaging.formats.dicom_discord import named, names_of
from inference.imaging.formats.dicom_file import DicomImage


def without_copies(images: Sequence[DicomImage]) -> tuple[list[DicomImage], list[str]]:
    """The images without those of files that are byte by byte another one, and what is told of these.

    Of a file and its copies the one with the shortest name stays. Files are compared that lie at the same
    place and do not say that they are different images (`SOPInstanceUID`).

    Args:
        images: frames of one file one after another.
    """
    first_of = {image.path: image for image in reversed(images)}
    alike: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path, image in first_of.items():
        if image.sop_uid or image.position_mm:
            alike[image.sop_uid, image.position_mm].append(path)
    original_of = {
        copy: original for paths in alike.values() for copy, original in _copies(paths) if len(paths) > 1
    }
    if not original_of:
        return list(images), []
    left_out = sorted(original_of)
    copy = first_of[left_out[0]]
    told = " is a copy of ".join(names_of((copy, first_of[original_of[copy.path]]))) + " and was left out"
    if len(left_out) > 1:
        files = named([first_of[path] for path in left_out])
        told = f"{len(left_out)} DICOM files are copies of others and were left out ({files})"
    return [image for image in images if image.path not in original_of], [told]


def _copies(paths: Iterable[Path]) -> Iterable[tuple[Path, Path]]:
    """Copies among files, and what each is a copy of."""
    originals: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.name), path)):
        original = next((each for each in originals if _are_same(each, path)), None)
        if original is None:
            originals.append(path)
        else:
            yield path, original


def _are_same(one: Path, other: Path) -> bool:
    """Whether two files hold the same; one that can no longer be read is refused when its pixels are."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
