"""Files in folders of images that nothing reads: an image in another format, perhaps, so the user is told."""

from collections.abc import Sequence

from inference.imaging.formats.dicom_folder import StartOf, dicom_among, is_note
from inference.imaging.reading import DETACHED, image_suffix
from model.organ_counts import listed

OF_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "readme", "license"})
"""Names, in small letters, of files that are meant for people and their systems."""


def unread(names: Sequence[str], start_of: StartOf) -> list[str]:
    """Those of a folder's files that are of no known format, in their order; notes do not count.

    Args:
        names: of all its files but hidden ones. It is no DICOM series.
        start_of: reads how one begins.
    """
    stems = [
        name.removesuffix(suffix) for name in names if (suffix := image_suffix(name)).lower() in DETACHED
    ]
    others = [name for name in names if not image_suffix(name)]
    known = {name for name, _ in dicom_among(others, start_of)}  # A disc's directory, or a report.
    known |= {name for name in others if name.lower() in OF_SYSTEMS or name.startswith(tuple(stems))}
    return [name for name in others if name not in known and not is_note(name)]


def told_of_unread(source: object, names: Sequence[str]) -> str:
    """A warning about files of no known format; empty where there are none.

    >>> told_of_unread("in", ["a_0000.tif"])
    'in: 1 file of no known format left out: a_0000.tif'

    Args:
        source: the folder that was searched.
        names: relative to it.
    """
    if not names:
        return ""
    return (
        f"{source}: {len(names)} file{'s' * (len(names) != 1)} of no known format left out: {listed(names)}"
    )
