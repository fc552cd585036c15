"""What both kinds of DICOM results say alike of a series and of when they were made."""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset

from inference.imaging.dicom_results.repeated_elements import OF_BOTH
from inference.imaging.dicom_results.source_series import SourceSeries

OFFSET = "TimezoneOffsetFromUTC"
DATED = ("InstanceCreation", "Series")
"""What dates and times are of, as the names of their elements begin."""


def complete(made: Dataset, source: SourceSeries, dated: Sequence[str]) -> None:
    """Give an object what its series says of all its objects, and date it.

    Its times are those of the zone that the series states, since the times that it repeats are; of this
    machine's where it states none, and then the object states none either.

    Args:
        made: the object.
        source: the series.
        dated: what else of it has a date and a time, as the names of their elements begin.
    """
    for name in OF_BOTH:
        if name in source.first:
            made[name] = source.first[name]
    offset = source.first.get(OFFSET)
    now = datetime.now(datetime.strptime(offset, "%z").tzinfo if offset else None)
    for what in (*DATED, *dated):
        setattr(made, f"{what}Date", now.strftime("%Y%m%d"))
        setattr(made, f"{what}Time", now.strftime("%H%M%S"))
