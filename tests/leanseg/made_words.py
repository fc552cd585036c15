"""A command whose work is loaded when it is begun."""

WORK = "tests.leanseg.made_command"


def add_arguments(parser):
    parser.add_argument("action")
