"""Errors that a user can cause and put right.

    ValueError
    └── JudgingError     the message is one line that names the file or option and says what to do

Every other exception is a fault of the program.
"""


class JudgingError(ValueError):
    """Something is wrong with what the user gave; `eval.__main__` prints the message and exits with 2."""
