"""How the files of a case are named, in data sets, in input folders and among results.

`CASE_0000.nii.gz` is the first channel of a case, `CASE_0001.nii.gz` the second, and `CASE.nii.gz` its label
map (the convention of nnU-Net and of the FLARE challenges). A file without a channel number is its case's
only channel.
"""

import re

CHANNEL = re.compile(r"_(\d{4})$")
FIRST_CHANNEL = "_0000"


def split_channel(stem: str) -> tuple[str, int | None]:
    """Case name and channel number of a file's name without its ending.

    >>> split_channel("liver_7_0001"), split_channel("liver_7")
    (('liver_7', 1), ('liver_7', None))
    """
    found = CHANNEL.search(stem)
    if found is None or found.start() == 0:
        return stem, None
    return stem[: found.start()], int(found.group(1))


def case_name(stem: str) -> str:
    """Name of the case that a file belongs to: `liver_7` for `liver_7_0000` and for `liver_7`."""
    return split_channel(stem)[0]


def channel_stem(case: str, channel: int) -> str:
    """Name of a channel's file without its ending.

    >>> channel_stem("liver_7", 1)
    'liver_7_0001'
    """
    return f"{case}_{channel:04d}"
