"""What can go wrong for a user, and the exit code that `predict.py` ends with.

    LeanSegError                 the message is one line: what is wrong with what, and what to do
    ├── InputError               1   one case cannot be used; the others go on
    ├── BudgetError              1   one case cannot be run within the memory budget; the others go on
    ├── NetworkError             1   a network gave no usable numbers for one case; the others go on
    ├── UsageError               2   wrong call: nothing is run
    │   └── OutputError          2   the output folder cannot be written or is full: the run ends
    │       └── ResultNameError  1   one case's result cannot have its name; the others go on
    └── DeviceError              2   the device that was asked for cannot be used
        └── DeviceMemoryError    1   a device ran out of memory while it worked on a case

`LeanSegError` stands in `model.model_errors`, which knows nothing of `inference`, since what is wrong with a
model is one too: `BundleError` ends in 2.
"""

from model.case_names import printable
from model.model_errors import LeanSegError


class InputError(LeanSegError):
    """One case cannot be used: its file is damaged, of the wrong kind or cannot be read."""

    exit_code = 1


class UsageError(LeanSegError):
    """The call is wrong; nothing was run."""


class OutputError(UsageError):
    """The output folder cannot be made or written, or the disk is full."""


class ResultNameError(OutputError):
    """A result cannot be given its name, which is too long or that of a folder; others may be written."""

    exit_code = 1


class NetworkError(LeanSegError):
    """A network's output for a case is not usable."""

    exit_code = 1


class BudgetError(LeanSegError):
    """The memory budget cannot be kept for a case; the message names the smallest one that can."""

    exit_code = 1


class DeviceError(LeanSegError):
    """The device that was asked for is not there or does not work."""


class DeviceMemoryError(DeviceError):
    """A device ran out of memory."""

    exit_code = 1


def reason(error: BaseException) -> str:
    """Why the system refused, on one line, without the number and path that an `OSError` carries.

    The message around it names the file.
    """
    return getattr(error, "strerror", None) or one_line(error)


def fault_of(error: BaseException) -> str:
    """One printable line for an error that no user can mend.

    >>> fault_of(KeyError("Rows"))
    "KeyError: 'Rows'; this is a fault of the program"
    """
    return f"{type(error).__name__}: {one_line(error)}; this is a fault of the program"


def one_line(error: BaseException) -> str:
    """The message of an error on one printable line; the name of its class where there is none."""
    return printable(" ".join(str(error).split())) or type(error).__name__
