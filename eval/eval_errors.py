"""Errors that a user can cause and put right.

    ValueError
    └── JudgingError     the message is one printable line that names the file or option and says what to do

Every other exception is a fault of the program.
"""

from model.case_names import printable


class JudgingError(ValueError):
    """Something is wrong with what the user gave; `eval.__main__` prints the message and exits with 2."""

    def __str__(self) -> str:
        """The message; what a submission wrote into it, as the name of a file, makes no line of its own."""
        return printable(super().__str__())
