"""Image files of a folder by their names: which file is which channel of which case."""

from collections.abc import Callable, Container
from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import FIRST_CHANNEL, split_channel

IMAGES = ("imagesTr", "images")
LABELS = ("labelsTr", "labels")
UNLABELLED = (*IMAGES, "imagesTs")
"""Where a data set may keep images that need no labels."""


def image_files(folder: Path) -> list[Path]:
    """Files of a folder that an image reader knows by their names, in order; hidden ones left out."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if image_suffix(p.name) and not p.name.startswith("."))


def stem_of(path: Path) -> str:
    """An image file's name without its ending."""
    suffix = image_suffix(path.name)
    return path.name[: -len(suffix)] if suffix else path.name


def images_by_case(
    folder: Path, case_of: Callable[[str], tuple[str, int]]
) -> tuple[dict[str, dict[int, Path]], list[str]]:
    """Case to channel to file, and a line for each file of a channel that has one already.

    Args:
        folder: of images; there need not be one.
        case_of: from a file's name without its ending to its case and channel.
    """
    found: dict[str, dict[int, Path]] = {}
    faults = []
    for path in image_files(folder):
        name, channel = case_of(stem_of(path))
        first = found.setdefault(name, {}).setdefault(channel, path)
        if first != path:
            faults.append(
                f"{path}: second image of case {name}, channel {channel}, beside {first.name}; keep one"
            )
    return found, faults


def case_beside(stem: str, truths: Container[str] = ()) -> tuple[str, int]:
    """Case and channel of an image file.

    AMOS's `amos_0001` is not channel 1 of `amos`: its label map has the same name.

    Args:
        stem: the file's name without its ending.
        truths: those of the label maps.
    """
    name, channel = split_channel(stem)
    if stem in truths or channel is None:
        return stem, 0
    return name, channel


def case_of_one_channel(stem: str) -> tuple[str, int]:
    """The same where every file is a case, whatever number but 0000 it ends with."""
    return stem.removesuffix(FIRST_CHANNEL), 0
