"""Tables for a paper, in LaTeX or Markdown; for spreadsheets and programs there is `eval.files.write_csv`."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path
from model.case_names import printable

LATEX_OF = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    # At the beginning of a row LaTeX takes these for options of the line break before it.
    **{sign: f"{{{sign}}}" for sign in "[*"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    "−": "$-$", "–": "--", "<": "$<$", ">": "$>$", "|": "$|$",
    "≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$",
}  # fmt: skip
"""Sign to what prints it, whichever fonts and encoding a paper has."""
MINUS = re.compile(r"(?<!\S)-(?=[\d∞])")
"""What stands before a negative number."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, each text within its cell, whatever it holds; nothing where there are no rows."""
    if not rows:
        return ""
    lines = [[cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A table in LaTeX, for `\input{FILE}`; the first column is aligned left, all others right."""
    lines = [" & ".join(map(_in_latex, line)) + r" \\" for line in (header, *rows)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _in_latex(text: str) -> str:
    r"""A text as LaTeX prints it.

    >>> [_in_latex(text) for text in ("95 % CI", "-0.5 to +0.25", "team_a-2", "<0.0001", "≥ 5")]
    ['95 \\% CI', '$-$0.5 to +0.25', 'team\\_a-2', '$<$0.0001', '$\\geq$ 5']
    """
    return "".join(LATEX_OF.get(sign, sign) for sign in MINUS.sub("−", text))


WRITERS: Mapping[str, Callable[[Sequence[str], Sequence[Sequence[str]]], str]] = {
    ".tex": latex,
    ".md": markdown,
}
"""How a file's name ends to what writes it."""


def add_table_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--table`."""
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="write what is printed as a table for a paper too: LaTeX (FILE.tex) or Markdown (FILE.md)",
    )


def table_paths(path: Path | None) -> list[Path]:
    """The file that `--table` names, if it names one.

    Raises:
        JudgingError: its name has another ending.
    """
    if path is None:
        return []
    if path.suffix not in WRITERS:
        raise JudgingError(f"--table {path}: unknown kind of table; end the name in {' or '.join(WRITERS)}")
    return [path]


def write_table(path: Path | None, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to the file that `--table` names, if it names one; line breaks of names are spelled."""
    for each in table_paths(path):
        text = WRITERS[each.suffix](header, [list(map(printable, row)) for row in rows])
        with atomic_path(each) as temporary:
            temporary.write_text(text, encoding="utf-8")
