"""A command with commands of its own, for the dispatcher's tests."""

from tests.leanseg import made_command

PARTS = {"inner": made_command}
