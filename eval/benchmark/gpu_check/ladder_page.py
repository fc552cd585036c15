"""One page of results in Markdown: the machine, how each check ended, and tables of what was measured."""

from collections.abc import Sequence
from textwrap import fill

from eval.benchmark.gpu_check.rungs import Ending, Rung
from eval.benchmark.page_markers import WIDTH
from eval.paper_table import markdown


def page(machine: str, rungs: Sequence[Rung]) -> str:
    """The page.

    Args:
        machine: what it was run on, in a sentence.
        rungs: in the order of the ladder.
    """
    counted = {ending: sum(rung.ending is ending for rung in rungs) for ending in Ending}
    sums = ", ".join(f"{count} {ending}" for ending, count in counted.items())
    parts = [fill(f"{machine} {sums}.", WIDTH), _endings(rungs).strip()]
    for check in dict.fromkeys(rung.check for rung in rungs if rung.figures):
        measured = [rung for rung in rungs if rung.check == check and rung.figures]
        parts += [f"{check[0].upper()}{check[1:]}:", _figures(measured).strip()]
    return "\n\n".join(parts)


def _endings(rungs: Sequence[Rung]) -> str:
    rows = [[rung.check, rung.of, _marked(rung.ending), rung.said] for rung in rungs]
    return markdown(("check", "of", "outcome", "why"), rows)


def _figures(rungs: Sequence[Rung]) -> str:
    names = list(dict.fromkeys(name for rung in rungs for name in rung.figures))
    rows = [[rung.of, *(rung.figures.get(name, "") for name in names)] for rung in rungs]
    return markdown(("of", *names), rows)


def _marked(ending: Ending) -> str:
    return f"**{ending}**" if ending is Ending.FAILED else str(ending)
