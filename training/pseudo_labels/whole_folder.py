"""A data-set folder that is made beside its place and appears there when it is complete.

What an interrupted call made stays in the folder beside, `.NAME.unfinished`, and the next call for the same
goes on with it.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import channel_stem
from training.data.json_files import write_json
from training.training_errors import DataError

RECORD = "pseudo_labels.json"
"""What a finished folder was made from and how."""
PURPOSE = "purpose.json"
"""What an unfinished folder is being made from."""
DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels are in another file, which they name relative to their own place."""

Purpose = Mapping[str, object]
"""What a folder is made from, in JSON values: the same makes the same."""

logger = logging.getLogger(__name__)


def unfinished(output: Path) -> Path:
    """Where a folder is made before it appears in its place."""
    return output.absolute().with_name(f".{output.absolute().name}.unfinished")


def is_there(output: Path, purpose: Purpose) -> bool:
    """Whether a folder was made from the same already.

    Raises:
        DataError: there is something else.
    """
    if not output.exists():
        return False
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if isinstance(record, dict) and record.get("purpose") == purpose:
        return True
    raise DataError(f"{output}: already holds something else; choose another --output")


@contextmanager
def whole_folder(output: Path, purpose: Purpose) -> Iterator[Path]:
    """The unfinished folder to work in; where the block ends well it is renamed to `output`.

    Args:
        output: does not exist; its parent is made if missing.
        purpose: what it is made from. What another purpose left unfinished is removed first.

    Raises:
        DataError: it cannot be written.
    """
    folder = unfinished(output)
    try:
        if folder.exists() and _purpose_of(folder) != purpose:
            logger.info("%s: was begun for something else: starting anew", folder)
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / PURPOSE, purpose)
        yield folder
        (folder / PURPOSE).unlink()
        folder.rename(output)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def link_images(name: str, images: Sequence[Path], folder: Path) -> None:
    """Put the images of a case into a folder, named as nnU-Net names them, as links.

    Raises:
        DataError: an image keeps its voxels in another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for channel, path in enumerate(images):
        link_image(path, folder, channel_stem(name, channel))


def link_image(target: Path, folder: Path, stem: str) -> None:
    """Put a link to an image or a label map into a folder, under a name without its ending.

    It is relative, so that a tree with both can be moved, and leads to the file itself, not to another link.

    Raises:
        DataError: the file keeps its voxels in another one.
    """
    suffix = image_suffix(target.name)
    if suffix.lower() in DETACHED:
        raise DataError(f"{target}: keeps its voxels in another file; convert it to .nii.gz or .mha")
    place = folder / f"{stem}{suffix}"
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(target.resolve(), folder.resolve()))


def _purpose_of(folder: Path) -> object:
    try:
        return json.loads((folder / PURPOSE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
