"""Help that fits the terminal: paragraphs and lists are wrapped anew, blocks and tables keep their lines."""

import argparse
import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

WIDEST = 110
"""Columns of help at most: longer lines are hard to follow."""
BLOCK = 4
"""Columns from which on an indented line is a block's: a command, a formula, a file's excerpt."""
ITEM = re.compile(r"( *[-*] +| +\S.*? {2,})(?=\S)")
"""How an item of a list begins: a dash, or an indented term and its text two spaces or more behind it."""

TAKEN: Mapping[object, str] = {int: "N", float: "X", Path: "PATH"}
"""What stands for a value of a type."""


class HelpFormatter(argparse.HelpFormatter):
    """Fits descriptions and epilogs to the terminal, as argparse does with the texts of options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(WIDEST, shutil.get_terminal_size().columns) - 2)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        """What an option takes that does not say: `--workers N`, rather than its own name once more."""
        return TAKEN.get(action.type, super()._get_default_metavar_for_optional(action))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.indent(fitted(text, width - len(indent)), indent)


def fitted(text: str, width: int) -> str:
    r"""Text for `width` columns.

    A line goes on with the one before it if it is indented as that, or as the text of that list's item. Lines
    of tables (|), and those indented by four columns or more, stay lines; too long ones are broken at words.

    >>> print(fitted("Two\nwords.\n\nrules:\n  strict  as it\n          is\n\n    a = 1\n    b = 2", 30))
    Two words.
    <BLANKLINE>
    rules:
      strict  as it is
    <BLANKLINE>
        a = 1
        b = 2
    """
    told: list[str] = []
    head, margin, words = "", -1, ""
    for line in text.strip("\n").splitlines():
        found = ITEM.match(line)
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped and not found and indent == margin:
            words += f" {stripped}"
            continue
        told += _lines(head, words, width)
        if found:
            head, words = found[0], line[found.end() :].rstrip()
            margin = found.end()
        else:
            head, words = line[:indent], stripped
            margin = -1 if not stripped or stripped.startswith("|") or indent >= BLOCK else indent
    return "\n".join([*told, *_lines(head, words, width)][1:])


def _lines(head: str, words: str, width: int) -> list[str]:
    """A paragraph, a line of a block, or an item, behind what it begins with."""
    later = " " * len(head)
    if not head.strip():
        later += " " * BLOCK if len(head) >= BLOCK else ""
    elif len(head) > width / 2:  # Too narrow a column would be left beside it.
        term = head.lstrip()
        margin = " " * (len(head) - len(term))
        return [f"{margin}{term.rstrip()}", *_lines(margin + " " * BLOCK, words, width)]
    broken = textwrap.wrap(
        words,
        width,
        initial_indent=head,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return broken or [""]
