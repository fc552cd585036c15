"""What a full disk is, and the line that a user is given."""

import errno

import pytest

from leanseg.full_disk import is_full, line_of_system


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EROFS, "Read-only file system"), False),
        (OSError("without a number"), False),
        (ValueError("another"), False),
    ],
)
def test_a_full_disk_is_known_by_its_number(error, full):
    assert is_full(error) is full


@pytest.mark.parametrize(
    ("error", "output", "line"),
    [
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            "out",
            "out: Disk quota exceeded; make room on the disk",
        ),
        (OSError(errno.ENOSPC, "Full", "a.csv"), "out", "a.csv: Full; make room on the disk"),
        (OSError(errno.ENOSPC, "Full"), None, "file system: Full; make room on the disk"),
        (OSError(errno.EROFS, "Read-only"), "out", "file system: Read-only"),
        (OSError("of a library"), "out", "file system: of a library"),
    ],
)
def test_what_the_system_says_becomes_one_line(error, output, line):
    assert line_of_system(error, output) == line
