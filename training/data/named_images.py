"""Image files of a folder by their names: which file is which channel of which case."""

from collections.abc import Mapping
from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import split_channel

IMAGES = ("imagesTr", "images")
LABELS = ("labelsTr", "labels")


def image_files(folder: Path) -> list[Path]:
    """Files of a folder that an image reader knows by their names, in order; hidden ones left out."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if image_suffix(p.name) and not p.name.startswith("."))


def stem_of(path: Path) -> str:
    """An image file's name without its ending."""
    suffix = image_suffix(path.name)
    return path.name[: -len(suffix)] if suffix else path.name


def case_of(stem: str, truths: Mapping[str, Path]) -> tuple[str, int]:
    """Case and channel of an image file.

    AMOS's `amos_0001` is not channel 1 of `amos`: its label map has the same name.
    """
    name, channel = split_channel(stem)
    if stem in truths or channel is None:
        return stem, 0
    return name, channel
