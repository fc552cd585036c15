"""Options of every command that writes a bundle of somebody's model."""

import argparse
from pathlib import Path

from model.importers.packaging import Packaging


def add_packaging(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """Declare `--output` and what a bundle is told beside.

    Args:
        parser: of the command.
        weights: whether files are made here, so that `--no-fp16` and `--half-weights` mean something.
    """
    add_statement(parser)
    if weights:
        add_fp16(parser)
        parser.add_argument(
            "--half-weights",
            action="store_true",
            help="store weights as half floats: files of half the size, a few voxels may change",
        )


def add_fp16(parser: argparse.ArgumentParser) -> None:
    """Declare `--no-fp16`."""
    parser.add_argument(
        "--no-fp16",
        action="store_true",
        help="leave out the second file of each member, with which GPUs compute in fp16",
    )


def add_statement(parser: argparse.ArgumentParser) -> None:
    """Declare where a bundle goes and what only its maker can say of it."""
    usual = Packaging()
    parser.add_argument("--output", type=Path, required=True, metavar="BUNDLE", help="bundle folder to write")
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--licence", help="licence of the weights (default: what is known)")
    parser.add_argument(
        "--intended-use",
        default=usual.intended_use,
        help="what it is for, and what not (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")


def add_priority(parser: argparse.ArgumentParser) -> None:
    """Declare `--priority`."""
    parser.add_argument(
        "--priority",
        nargs="+",
        default=[],
        metavar="NAME",
        help="all channels, where they are on or off by themselves (sigmoid): where several are on, the last "
        "of these is written, so name regions from the outermost to the innermost",
    )


def packaging_of(arguments: argparse.Namespace) -> Packaging:
    """What the options of `add_packaging` say."""
    return Packaging(
        name=arguments.name,
        licence=arguments.licence,
        intended_use=arguments.intended_use,
        fp16=not getattr(arguments, "no_fp16", False),
        half_weights=getattr(arguments, "half_weights", False),
        any_window=getattr(arguments, "any_window", False),
        overwrite=arguments.overwrite,
    )
