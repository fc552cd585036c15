"""What the system says of a full disk, and what a user is told of it."""

import errno

REMEDY = "make room on the disk"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of its errors; it names no file where one that is open cannot grow."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or what a user may take of it, is full."""
    return isinstance(error, OSError) and error.errno in FULL


def line_of_system(error: OSError, output: object = None) -> str:
    """What the system says of a file, on one line; of a full disk with what to do.

    >>> line_of_system(OSError(errno.ENOSPC, "No space left on device"), "out")
    'out: No space left on device; make room on the disk'
    >>> line_of_system(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.csv"), "out")
    'a.csv: No such file or directory'

    Args:
        error: that it raised.
        output: where the program writes to: on a full disk that is where, if no file is named. None where it
            has no such place.
    """
    if is_full(error):
        return f"{error.filename or output or 'file system'}: {error.strerror or 'is full'}; {REMEDY}"
    return f"{error.filename or 'file system'}: {error.strerror or error}"
