"""What the program that made label maps says of them: warnings, doubts, crumbs, and cases that failed.

`predict.py --report` writes one document for a run; a cohort writes one beside each label map.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eval.eval_errors import JudgingError
from eval.files import stem_of
from eval.report.page_data import Json

T = TypeVar("T")

NO_REPORT = "is no report of a run; write it with `predict.py --report`"
OUTCOME_SUFFIX = ".outcome.json"
"""Ending of what a cohort writes beside a label map."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What is said of one case."""

    failure: str = ""
    """Why it has no label map; empty where it has one."""
    doubts: tuple[str, ...] = ()
    """Warnings of its image, then what makes its result doubtful."""
    crumbs: frozenset[str] = frozenset()
    """Structures of which there is too little to count as found."""
    parts: frozenset[str] = frozenset()
    """The same where the scan's edge may cut the rest off."""


def accounts_of_run(run: Path) -> Mapping[str, Account]:
    """Case to what is said of it in the report of a run.

    Raises:
        JudgingError: the file cannot be read or is no report of a run.
    """
    return _read(
        run,
        lambda document: {stem_of(case["output"]): _of_run(case) for case in document["cases"]},
        NO_REPORT,
    )


def images_of_run(run: Path) -> Mapping[str, Path]:
    """Case to the image that its label map was made of, by the report of a run, those that are gone left out.

    Raises:
        JudgingError: the file cannot be read or is no report of a run.
    """
    images: Mapping[str, Path] = _read(
        run,
        lambda document: {
            stem_of(case["output"]): Path(case["input"]) for case in document["cases"] if "input" in case
        },
        NO_REPORT,
    )
    return {case: path for case, path in images.items() if path.exists()}


def account_in_run(run: Path, labels: Path) -> Account:
    """What the report of a run says of one label map, which may have been moved since.

    Raises:
        JudgingError: the file cannot be read, is no report of a run, or says nothing of such a label map.
    """
    told = accounts_of_run(run).get(stem_of(labels.name))
    if told is None:
        raise JudgingError(f"{run}: tells of no {labels.name}; give the report of the run that made it")
    return told


def maker_of_run(run: Path) -> str:
    """Name of the bundle that made the label maps of a run, by its report; empty where it names none.

    Raises:
        JudgingError: the file cannot be read or is no report of a run.
    """
    return _read(run, lambda document: str(document.get("bundle", {}).get("name", "")), NO_REPORT)


def accounts_beside(predictions: Path) -> Mapping[str, Account]:
    """Case to what a cohort wrote of it into the folder of its label maps, or into one below.

    Raises:
        JudgingError: such a file cannot be read or is something else.
    """
    return {
        path.relative_to(predictions).as_posix().removesuffix(OUTCOME_SUFFIX): _read(
            path, _of_cohort, "is no outcome of a case; remove it"
        )
        for path in sorted(predictions.rglob(f"*{OUTCOME_SUFFIX}"))
    }


def _read(path: Path, meant: Callable[[Json], T], otherwise: str) -> T:
    """What a JSON document means; `otherwise` says what is wrong where it means nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JudgingError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return meant(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JudgingError(f"{path}: {otherwise}") from error


def _of_run(case: Json) -> Account:
    crumbs = [organ for organ in case.get("organs", ()) if organ.get("crumb")]
    parts = frozenset(organ["organ"] for organ in crumbs if organ["touches_edge"])
    return Account(
        failure=case.get("error") or "",
        doubts=(*case["warnings"], *case["doubts"]),
        crumbs=frozenset(organ["organ"] for organ in crumbs) - parts,
        parts=parts,
    )


def _of_cohort(outcome: Json) -> Account:
    parts = frozenset(outcome.get("parts", ()))
    return Account(
        failure=outcome["reason"] if outcome["status"] == "failed" else "",
        doubts=(*outcome["warnings"], *outcome["doubts"]),
        crumbs=frozenset(outcome.get("crumbs", ())) - parts,
        parts=parts,
    )
