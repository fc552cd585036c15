"""Cases without labels: images in a folder, or in `imagesTr`, `imagesTs` or `images` of a data set."""

from dataclasses import dataclass
from pathlib import Path

from model.case_names import channel_stem
from training.data.found_cases import refuse
from training.data.named_images import UNLABELLED, case_beside, case_of_one_channel, images_by_case
from training.training_errors import DataError, NoDataError


@dataclass(frozen=True, kw_only=True)
class UnlabelledCase:
    """The images of a case."""

    name: str
    images: tuple[Path, ...]
    """A file for each input channel."""


def image_folder(folder: Path) -> Path:
    """Where the images of a data set lie: the first of `UNLABELLED` in it, else the folder itself."""
    return next((folder / name for name in UNLABELLED if (folder / name).is_dir()), folder)


def unlabelled_cases(folder: Path, channels: int) -> tuple[UnlabelledCase, ...]:
    """Cases by the names of their images, as the engine takes them.

    Args:
        folder: of images, or of a data set.
        channels: files that make a case. If it is 1, every file is a case, whatever number it ends with
            (AMOS's `amos_0001`).

    Raises:
        DataError: there is no folder, no image in it, a case has other channels, or two files are of one
            channel of a case.
    """
    if not folder.is_dir():
        raise NoDataError(f"{folder}: no such folder; give one with images")
    place = image_folder(folder)
    found, faults = images_by_case(place, case_of_one_channel if channels == 1 else case_beside)
    refuse(faults, folder, None)
    if not found:
        raise DataError(f"{place}: holds no image ({channel_stem('CASE', 0)}.nii.gz)")
    for name, files in found.items():
        if sorted(files) != list(range(channels)):
            raise DataError(
                f"{files[min(files)]}: case {name} has channels {', '.join(map(str, sorted(files)))}, the "
                f"bundle takes {channels}"
            )
    return tuple(
        UnlabelledCase(name=name, images=tuple(files[number] for number in range(channels)))
        for name, files in sorted(found.items())
    )
