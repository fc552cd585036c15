"""What is left to do of a cohort after the runs before: cases without an outcome, or without its files."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

from inference.cohort.cluster.cohort_results import CohortResults, Earlier
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.cohort_run import Standing
from inference.cohort.cluster.fates import Fate, Task, failed_fate
from inference.cohort.further_results import SUFFIXES
from inference.errors import UsageError
from model.case_names import printable

LOOKED_AT = 1000
"""Outcomes of earlier runs whose bundle is looked at: more would take minutes behind URLs."""


def left_to_do(
    call: CohortCall,
    tasks: Sequence[Task],
    results: CohortResults,
    standing: Standing,
    tell: Callable[[Fate], None],
    bundle_sha256: str,
) -> list[Task]:
    """The cases that are to be segmented; of the others, those without an outcome are given one.

    A case whose name is too long for a file has failed in every run, and has no outcome of its own.

    Args:
        call: what is asked for.
        tasks: the cohort.
        results: the output folder, from which unfinished files of killed runs are removed.
        standing: counts what is done.
        tell: takes the fates that are given.
        bundle_sha256: `ModelBundle.sha256` of the call's bundle.

    Raises:
        UsageError: there are outcomes, and the call does not say `resume`; or they are another bundle's.
        OutputError: an outcome cannot be written.
    """
    earlier = results.earlier([SUFFIXES[kind] for kind in call.format])
    known = earlier.fates & {task.case for task in tasks}
    if known and not call.resume:
        raise UsageError(
            f"{call.output}: holds outcomes of {len(known)} of these cases; go on with --resume, or give "
            "another folder with --output"
        )
    _check_bundle(call, results, known, bundle_sha256)
    results.sweep(earlier.unfinished)
    others = _of_other_series(tasks, results, known)
    again = {**_done_again(call, results, earlier, known), **others}
    known -= again.keys()
    standing.earlier = frozenset(known)
    kept = earlier.complete - others.keys()
    todo = []
    for task in tasks:
        if task.case in known:
            continue
        task = replace(task, replaces_unix_s=again.get(task.case))
        no_name = results.no_name_for(task.case)
        fate = _failed_now(task, no_name) if no_name else _known_fate(call, task, kept, results)
        if fate is None:
            todo.append(task)
            continue
        fate = results.with_what_is_left(fate, task)
        if no_name:
            standing.unrecorded.append(fate)
        else:
            results.record(fate)
        known.add(fate.case)
        standing.count(fate)
        tell(fate)
    return todo


def _check_bundle(call: CohortCall, results: CohortResults, known: set[str], bundle_sha256: str) -> None:
    """Refuse to go on with another bundle than that which segmented the cases that are done.

    Runs that go on keep to one bundle by this very check, so that some outcomes speak for all.

    Raises:
        UsageError: an outcome names another bundle.
    """
    cases = sorted(known)
    for fate in results.fates(cases[:: max(1, ceil(len(cases) / LOOKED_AT))]):
        if fate.status == "segmented" and fate.bundle_sha256 not in ("", bundle_sha256):
            raise UsageError(
                f"{call.output}: {printable(fate.case)} was segmented with another bundle (SHA-256 of its "
                f"manifest {fate.bundle_sha256[:12]}…, that of {call.bundle} is {bundle_sha256[:12]}…); go "
                "on with that one by --bundle, or give another folder with --output"
            )


def _done_again(
    call: CohortCall, results: CohortResults, earlier: Earlier, known: set[str]
) -> dict[str, float]:
    """Cases some of whose files are gone or were not asked for before, with the time of their outcome.

    Failed ones too, where they are to be tried again. Only outcomes that may be of these kinds are read.
    """
    doubted = known if call.retry_failed else known - earlier.complete
    return {
        fate.case: fate.ended_unix_s
        for fate in results.fates(sorted(doubted))
        if not earlier.holds_results_of(fate) or (call.retry_failed and fate.status == "failed")
    }


def _of_other_series(tasks: Sequence[Task], results: CohortResults, known: set[str]) -> dict[str, float]:
    """Cases of which another DICOM series was asked for before, with the time of their outcome.

    Outcomes are read only where the cohort names series at all.
    """
    series = {task.case: task.series for task in tasks}
    asked = sorted(known) if any(series.values()) else []
    return {fate.case: fate.ended_unix_s for fate in results.fates(asked) if fate.series != series[fate.case]}


def _known_fate(call: CohortCall, task: Task, kept: set[str], results: CohortResults) -> Fate | None:
    """The fate of a case that no worker needs to see; `kept` are those whose label map may be kept."""
    if task.problem is not None:
        return _failed_now(task, task.problem)
    if call.resume and task.case in kept and results.has_whole_labels(task.case):
        return replace(_failed_now(task, "its label map was there"), status="skipped")
    return None


def _failed_now(task: Task, why: str) -> Fate:
    return failed_fate(task, printable(why), time.time())
