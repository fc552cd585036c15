"""A command that ends as it is asked to."""

import errno
import os


def add_arguments(parser):
    parser.add_argument("action")
    parser.add_argument("--output")


def run(arguments):
    errors = {
        "value": ValueError("too small"),
        "unicode": UnicodeError("no such letter"),
        "file": FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "there"),
        "disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        "bare": OSError("nowhere"),
        "ctrl-c": KeyboardInterrupt(),
        "ctrl-c, go on": KeyboardInterrupt(),
        "sigterm": SystemExit(143),
        "sigterm, go on": SystemExit(143),
        "sighup": SystemExit(129),
    }
    if arguments.action.endswith(", go on"):
        errors[arguments.action].add_note("go on with --resume")
    if arguments.action in errors:
        raise errors[arguments.action]
    return {"none": None, "seven": 7}[arguments.action]
