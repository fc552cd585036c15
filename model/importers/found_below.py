"""Where trained models lie: in a folder, in folders in it, or in the zip of either."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from model.importers.foreign_fields import Place
from model.model_errors import RefusedModelError


def opened(given: Path) -> Place:
    """The inside of a zip; anything else as it is given, whether it is there or not.

    Raises:
        RefusedModelError: it is a damaged zip.
    """
    if not (given.is_file() and zipfile.is_zipfile(given)):
        return given
    try:
        return zipfile.Path(given)
    except (zipfile.BadZipFile, OSError) as error:
        raise RefusedModelError(f"{given}: is a damaged zip") from error


def found_below(place: Place, depth: int, is_model: Callable[[Place], bool]) -> Iterator[Place]:
    """A place, if it is a model, else the models in its folders, as many folders deep as `depth` says."""
    if is_model(place):
        yield place
    elif depth and place.is_dir():
        for inside in place.iterdir():
            if inside.is_dir():
                yield from found_below(inside, depth - 1, is_model)
