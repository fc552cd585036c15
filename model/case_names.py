"""How the files of a case are named, in data sets, in input folders and among results, and how it is shown.

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


def channel_stem(case: str, channel: int) -> str:
    """Name of a channel's file without its ending.

    >>> channel_stem("liver_7", 1)
    'liver_7_0001'
    """
    return f"{case}_{channel:04d}"


def printable(text: str) -> str:
    r"""A text in which control characters, line breaks and undecodable bytes of file names are spelled out.

    >>> printable("liver_7"), printable("a\nb"), printable("\udcff")
    ('liver_7', 'a\\nb', '\\udcff')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that spreadsheets compute, or that `as_cell` has written for one."""


def as_cell(text: str) -> str:
    """A text as it is written into a CSV table: one that a spreadsheet would compute gets a quote before it.

    Numbers stay as they are. `from_cell` gives the text back.

    >>> [as_cell(text) for text in ("liver_7", "=cmd|' /C calc'!A0", "-1.5", "-inf", "'=")]
    ['liver_7', "'=cmd|' /C calc'!A0", '-1.5', '-inf', "''="]
    """
    return f"'{text}" if FORMULA.match(text) and not _is_number(text) else text


def from_cell(cell: str) -> str:
    """The text of a cell that `as_cell` wrote; a cell of another table stays as it is, its quote apart.

    >>> [from_cell(cell) for cell in ("liver_7", "'=1+1", "-1.5", "''=", "'tis")]
    ['liver_7', '=1+1', '-1.5', "'=", "'tis"]
    """
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
