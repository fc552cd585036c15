"""A label map to disk as a DICOM object, whole or not at all."""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from pydicom import Dataset, dcmwrite

from inference.errors import InputError, one_line
from inference.imaging.dicom_results.maker import Maker
from inference.imaging.dicom_results.objects_written import ObjectsWritten
from inference.imaging.dicom_results.quiet_libraries import quieten_libraries
from inference.imaging.dicom_results.segmentation_object import segmentation_object
from inference.imaging.dicom_results.source_series import SourceSeries, read_source
from inference.imaging.dicom_results.structure_set import structure_set
from inference.imaging.dicom_results.structures_found import StructuresFound, structures_found
from inference.imaging.formats.dicom import Series
from inference.imaging.writing import remove_results, whole_file
from model.arrays import U8
from model.labels import LabelSet

Make = Callable[[SourceSeries, U8, LabelSet, StructuresFound, Maker], Dataset]
OBJECTS: Mapping[str, Make] = MappingProxyType({"dicom-seg": segmentation_object, "rtstruct": structure_set})

ODD_HEADER = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What highdicom and pydicom raise of headers that they cannot make an object of."""


def write_objects(
    paths: Mapping[str, Path], series: Series, labels: U8, label_set: LabelSet, maker: Maker
) -> ObjectsWritten:
    """Write a label map in DICOM formats, all of them or none. Of one that holds nothing there are none.

    Args:
        paths: `dicom-seg` or `rtstruct` to the file.
        series: the slices that the label map was made from, or that lie where its slices lie.
        labels: (slices, rows, columns) in the order of the series' slices.
        label_set: what the labels mean.
        maker: the bundle.

    Raises:
        InputError: the series' headers lack what an object needs.
        OutputError: a file cannot be written.
    """
    found = structures_found(labels, label_set)
    if not found.ids:
        nothing = f"no structure was found: there is nothing to write as {' and '.join(paths)}"
        return ObjectsWritten(warnings=(nothing,))
    quieten_libraries()
    with _odd_headers_refused(series, " or ".join(paths)):
        source = read_source(series, "".join((*maker.texts, *found.ids)))
    appeared: list[Path] = []
    try:
        with ExitStack() as files:
            for kind, path in paths.items():
                file = files.enter_context(_appearing(path, appeared))
                with _odd_headers_refused(source, kind):
                    # Held by nobody when the next one is made: the memory of one is planned.
                    made = OBJECTS[kind](source, labels, label_set, found, maker)
                    dcmwrite(file, made, enforce_file_format=True)
                    del made
    except BaseException:
        remove_results(appeared)
        raise
    return ObjectsWritten(kinds=tuple(paths), warnings=source.warnings)


@contextmanager
def _appearing(path: Path, appeared: list[Path]) -> Iterator[BinaryIO]:
    """As `whole_file`; when the file has its name, it is one of `appeared`."""
    with whole_file(path) as file:
        yield file
    appeared.append(path)


@contextmanager
def _odd_headers_refused(series: Series | SourceSeries, kinds: str) -> Iterator[None]:
    """A block that makes objects of these kinds from the headers of a series.

    Raises:
        InputError: none can be made of them.
    """
    try:
        yield
    except ODD_HEADER as error:
        raise InputError(
            f"{series.images[0].path}: no {kinds} can refer to it ({one_line(error)}); leave out --format, "
            "or give the original series with --template"
        ) from error
