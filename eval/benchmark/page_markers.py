"""Places in a page of documentation that a command fills, between two lines that name its make target."""

from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path

WIDTH = 110
"""Characters of a line of a page, tables aside."""


def markers(target: str) -> tuple[str, str]:
    """The lines before and after what `make TARGET` writes into a page."""
    return (
        f"<!-- {target}: begin; `make {target}` writes what stands here -->",
        f"<!-- {target}: end -->",
    )


def between_markers(page: str, section: str, target: str) -> str:
    """The page with a new section between the markers of a make target.

    Raises:
        JudgingError: it does not have each of them once, in order.
    """
    first, last = markers(target)
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise JudgingError(f"the page must hold the lines {first} and {last} once each, in this order")
    return f"{before}{begin}\n\n{section.strip()}\n\n{end}{after}"


def check_page(path: Path, target: str) -> None:
    """Refuse a page without the markers, before anything runs.

    Raises:
        JudgingError: it lacks them.
    """
    between_markers(path.read_text(encoding="utf-8"), "", target)


def fill_page(path: Path, section: str, target: str) -> None:
    """Write a section into a page, between the markers of a make target.

    Raises:
        JudgingError: it lacks them.
    """
    changed = between_markers(path.read_text(encoding="utf-8"), section, target)
    with atomic_path(path) as temporary:
        temporary.write_text(changed, encoding="utf-8")
