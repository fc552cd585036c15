"""One dispatcher for every command line of this project: `python -m eval`, `python -m training`, `leanseg`.

A command is a module with two functions,

    def add_arguments(parser: argparse.ArgumentParser) -> None: ...
    def run(arguments: argparse.Namespace) -> int | None: ...      # the exit code; None is 0

or, where a command has commands of its own, their modules by name, each of the same form:

    PARTS: Mapping[str, ModuleType]

or, where what `run` needs takes seconds to load, for which nobody should wait who asks for help or mistypes a
word, the name of the module where that is, which is imported once the words are understood:

    WORK: str

Its docstring is what `COMMAND --help` prints above the options. Only the module of the command asked for is
imported, so that `--help` is instant and a command needs no package that only its neighbours use.
"""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Literal

from leanseg.ending import is_ended, until_ended
from leanseg.full_disk import line_of_system
from leanseg.help_text import HelpFormatter
from leanseg.programs import installed

Needs = Literal[".venv", "training", "cohort"]
EXTRAS: Mapping[Needs, str] = {".venv": "eval", "training": "training", "cohort": "cohort"}
"""Make target to the extra of the installed package that brings the same packages."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a program."""

    module: str
    """Where its `add_arguments` and `run` (or `WORK`), or its `PARTS` are, e.g. `eval.commands.score`."""
    summary: str
    """Its line in the program's help: lower case, no full stop."""
    needs: Needs
    """The make target that brings the packages it imports."""


def dispatch(
    program: str,
    description: str,
    commands: Mapping[str, Command],
    argv: Sequence[str],
    *,
    epilog: str | None = None,
    refusals: Mapping[type[Exception], int],
    told: str = "error: {}",
) -> int:
    """Run the command that the first word of `argv` names, until it is done or ended from outside.

    Args:
        program: what the user typed, e.g. `python -m eval`.
        description: the first line of the program's help.
        commands: name to command.
        argv: the words after the program.
        epilog: what the program's help ends with, printed as it stands.
        refusals: class of error to exit code; such an error becomes one line on stderr. The first class
            that fits counts. `ModuleNotFoundError` stands for a package that is not installed. What is
            not named here, or is a module of the project that is missing, is a fault of the program and
            keeps its traceback.
        told: line on stderr after a signal, with `{}` for what it did ("interrupted"). Notes that the command
            added to the exception follow.

    Returns:
        The exit code; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

    Raises:
        SystemExit: help was asked for (0), or the words are not understood (2).
    """
    return until_ended(
        lambda: _dispatch(program, description, commands, argv, epilog, refusals),
        told=told,
    )


def _dispatch(
    program: str,
    description: str,
    commands: Mapping[str, Command],
    argv: Sequence[str],
    epilog: str | None,
    refusals: Mapping[type[Exception], int],
) -> int:
    asked = next((word for word in argv if not word.startswith("-")), None)
    output: object = None
    try:
        parser = argparse.ArgumentParser(
            prog=program,
            description=description,
            epilog=epilog,
            formatter_class=HelpFormatter,
        )
        subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for name, command in commands.items():
            subparser = subparsers.add_parser(name, help=command.summary, formatter_class=HelpFormatter)
            if name == asked:
                _declare(subparser, importlib.import_module(command.module))
        arguments = parser.parse_args(argv)
        output = getattr(arguments, "output", None)
        return int(arguments.run_command(arguments) or 0)
    except tuple(refusals) as error:
        if is_ended():
            raise
        code = next(code for kind, code in refusals.items() if isinstance(error, kind))
        if not isinstance(error, ModuleNotFoundError):
            return _stop(f"error: {_one_line(error, output)}", code)
        if asked is None or not _is_absent(error.name):
            raise
        remedy = _remedy(program, asked, commands[asked].needs)
        return _stop(f"error: {error.name} is not installed for {sys.executable}; {remedy}", code)


def _declare(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    """Give a parser the help and the options of a command's module, and of its parts."""
    parser.description = module.__doc__
    if not hasattr(module, "PARTS"):
        module.add_arguments(parser)
        parser.set_defaults(run_command=partial(_run, module.WORK) if hasattr(module, "WORK") else module.run)
        return
    subparsers = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, part in module.PARTS.items():
        summary = (part.__doc__ or "").splitlines()[0].rstrip(".")
        subparser = subparsers.add_parser(name, help=summary, formatter_class=HelpFormatter)
        _declare(subparser, part)


def _run(work: str, arguments: argparse.Namespace) -> int | None:
    code: int | None = importlib.import_module(work).run(arguments)
    return code


def _is_absent(module: str | None) -> bool:
    """Whether the package that a module belongs to is not there at all."""
    return module is not None and importlib.util.find_spec(module.partition(".")[0]) is None


def _remedy(program: str, command: str, needs: Needs) -> str:
    if installed():
        return f"run pip install '.[{EXTRAS[needs]}]' in the clone that LeanSeg was installed from"
    return f"run `make {needs}`, then .venv/bin/{program} {command}"


def _one_line(error: Exception, output: object) -> str:
    """What went wrong; `output` is where the command writes to, None where it has no such option."""
    if isinstance(error, OSError) and error.strerror:
        return line_of_system(error, output)
    if isinstance(error, MemoryError):
        return f"this machine's memory is too small ({str(error) or 'there is none left'})"
    return str(error)


def _stop(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code
