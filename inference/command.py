"""One call of `predict.py`, from the checks before anything runs to the exit code.

This is the one place where errors become messages.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from inference.call import WRONG_CALL, Call
from inference.cohort.asked_files import RUN_REPORT, check_asked_file
from inference.cohort.assembly_line import Step, Tell
from inference.cohort.cases import (
    Case,
    check_folders,
    find_cases,
    passed_over,
    prepare_output,
    shared_warnings,
    unread_in,
)
from inference.cohort.folder import Begin, FolderRun, Progress
from inference.cohort.further_results import FurtherResults, objects_beside
from inference.cohort.one_case import Admit, FailedCase, failed_case, prepare_case
from inference.cohort.opening import (
    admit_somewhere,
    admit_within,
    further_for,
    planner_for,
    predictor_for,
    value_unit,
)
from inference.cohort.organ_table import check_tables, table_paths, write_tables
from inference.cohort.outcome import (
    Outcome,
    exit_code,
    findings,
    look_at,
    places,
    seen_in_windows,
    summary,
)
from inference.cohort.progress import Console
from inference.cohort.run_report import write_report
from inference.cohort.watchdog import WatchedRun
from inference.errors import OutputError, UsageError, fault_of, one_line
from inference.imaging.channels import expected_modalities
from inference.imaging.writing import is_there
from inference.planning.planner import Planner
from inference.runtime.ways import understated
from leanseg.ending import is_ended
from model.bundle import ModelBundle, load_bundle
from model.case_names import printable
from model.model_errors import LeanSegError
from model.organ_counts import listed


def run(call: Call) -> int:
    """Do what was asked; everything that the user can mend ends in one line on stderr.

    Returns:
        The exit code: 0 all cases segmented, 1 some failed, 2 nothing could be run or written.
    """
    console = Console()
    try:
        return _run(call, console)
    except LeanSegError as error:
        if is_ended():
            raise
        console.complain(f"error: {one_line(error)}")
        return error.exit_code
    except Exception as error:
        if is_ended():
            raise
        if call.debug:
            console.complain(traceback.format_exc().rstrip())
        console.complain(f"error: {fault_of(error)}{_advice(call.debug)}")
        return WRONG_CALL


def _run(call: Call, console: Console) -> int:
    start, started = time.perf_counter(), datetime.now(UTC)
    _check_files(call)
    bundle = load_bundle(call.bundle)
    cases = _cases(call, bundle, console)
    further = further_for(call, bundle, len(cases))
    planner = planner_for(call, bundle, further)
    if doubt := understated(bundle, planner.backend, planner.precision):
        console.complain(f"warning: {printable(doubt)}")
    if call.plan:
        return _tell_plans(call, cases, admit_somewhere(call, planner, further), console)
    prepare_output(call.output)
    outcomes: list[Outcome] = []
    told = shared_warnings(cases)
    output = bundle.manifest.output
    organs = [name for name in output.written if name not in output.lesions]

    def tell(outcome: Outcome) -> None:
        outcome = _with_what_is_left(outcome, call.output)
        outcomes.append(outcome)
        said = replace(outcome, warnings=tuple(note for note in outcome.warnings if note not in told))
        _tell(said, console, organs=organs, debug=call.debug)

    def report() -> None:
        if call.statistics is not None:
            write_tables(call.statistics, _all(cases, outcomes), value_unit(bundle))
        if call.report is not None:
            write_report(
                call.report,
                call,
                bundle,
                _all(cases, outcomes),
                started=started,
                seconds=time.perf_counter() - start,
            )

    try:
        _segment_all(call, planner, further, cases, tell=tell, progress=console.progress)
    except BaseException:
        console.end_progress()
        try:
            report()
        except OutputError as error:
            console.complain(
                f"error: {one_line(error)}"
            )  # What ended the run matters more, and is told after this.
        raise
    console.end_progress()
    report()
    if cut := seen_in_windows(each.larger_windows_mb for each in outcomes):
        console.complain(f"warning: {cut}")
    console.say(summary(outcomes, time.perf_counter() - start) + _written(call, outcomes))
    return exit_code(outcomes)


def _written(call: Call, outcomes: Sequence[Outcome]) -> str:
    """Where the results of a run lie that came to its end."""
    has_labels = any(each.status != "failed" or each.has_label_map for each in outcomes)
    tables = None if call.statistics is None else " and ".join(map(str, table_paths(call.statistics)))
    labels = call.output if has_labels else None
    return places({"labels in": labels, "organs in": tables, "report": call.report})


def _check_files(call: Call) -> None:
    """Make sure that the files that are asked for will and can be written, before anything is made.

    Raises:
        UsageError: they will not, or cannot.
    """
    if call.plan and (call.report or call.statistics):
        idle = "--report" if call.report else "--statistics"
        raise UsageError(f"{idle}: is for a run, and --plan runs nothing; leave one of them out")
    if call.report is not None:
        check_asked_file(call.report, RUN_REPORT, output=call.output)
    if call.statistics is not None:
        check_tables(call.statistics, call.report, call.output)


def _cases(call: Call, bundle: ModelBundle, console: Console) -> list[Case]:
    """What is to be segmented; the user is told of images beside it, and of what holds for several cases."""
    found = find_cases(call.input, len(bundle.manifest.inputs), call.output)
    modalities = expected_modalities(bundle)
    # With a template the image is no series: the one that is named is the template's.
    series = None if call.template else call.series
    cases = [replace(case, modalities=modalities, series=series) for case in found]
    check_folders(call.input, call.output)
    for left_out in (passed_over(call.input, cases, call.output), unread_in(call.input, cases)):
        if left_out:
            console.complain(f"warning: {printable(left_out)}")
    for warning, those in shared_warnings(cases).items():
        names = listed([printable(case.path.name) for case in those])
        console.complain(f"warning: each of {names}: {printable(warning)}")
    return cases


def _segment_all(
    call: Call,
    planner: Planner,
    further: FurtherResults | None,
    cases: Sequence[Case],
    *,
    tell: Tell,
    progress: Progress,
) -> None:
    """Run the cases here, or in a second process that can be ended where their time is limited."""
    if call.case_timeout_s is None:
        folder = _folder_run(call, planner, further, one_case=len(cases) == 1, tell=tell)
        replace(folder, progress=progress).run(cases)
        return
    WatchedRun(
        work=partial(_segment, call, planner.bundle),
        limit_s=call.case_timeout_s,
        output=call.output,
        tell=tell,
        progress=progress,
    ).run(cases)


def _folder_run(
    call: Call,
    planner: Planner,
    further: FurtherResults | None,
    *,
    one_case: bool,
    tell: Tell,
) -> FolderRun:
    return FolderRun(
        output=call.output,
        admit=admit_within(call, planner, further),
        open_predictor=lambda first: predictor_for(call, planner, one_case=one_case, first=first),
        tell=tell,
        skip_existing=call.skip_existing,
        further=further,
    )


def _segment(
    call: Call, bundle: ModelBundle, cases: Sequence[Case], *, tell: Tell, begin: Begin, step: Step
) -> None:
    """What the second process of a watched run does."""
    further = further_for(call, bundle, len(cases))
    planner = planner_for(call, bundle, further)
    folder = _folder_run(call, planner, further, one_case=len(cases) == 1, tell=tell)
    replace(folder, begin=begin, step=step, written=tell).run(cases)


def _all(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Every case's outcome in the order of the cases; those that were not come to are "not run"."""
    known = {outcome.case.path: outcome for outcome in outcomes}
    return [known.get(case.path) or Outcome(case=case, status="not run") for case in cases]


def _with_what_is_left(outcome: Outcome, output: Path) -> Outcome:
    """The same; a failure says so where results of an earlier run could be taken for its own."""
    if not outcome.error:
        return outcome
    label_map = output / outcome.case.output_name
    results = [*(() if outcome.has_label_map else (label_map,)), *objects_beside(label_map).values()]
    left = [path.name for path in results if is_there(path)]
    if not left:
        return outcome
    are = "are" if len(left) > 1 else "is"
    return replace(outcome, error=f"{outcome.error}; {listed(left)} of an earlier run {are} still there")


def _tell(outcome: Outcome, console: Console, *, organs: Sequence[str], debug: bool) -> None:
    """One line for a case, one for each warning, and one for all that is doubtful about its result.

    Args:
        outcome: of the case.
        console: what the user sees.
        organs: that could have been found.
        debug: show tracebacks.
    """
    name = printable(outcome.case.path.name)
    if debug and outcome.trace:
        console.complain(outcome.trace)
    for warning in outcome.warnings:
        console.complain(f"warning: {name}: {warning}")
    if outcome.doubts:
        console.complain(f"warning: {name}: {look_at(outcome.doubts, rest='--report')}")
    if outcome.ends_run:
        return  # Said once, by whoever catches what ends the run.
    if outcome.error:
        console.complain(f"error: {printable(outcome.error)}{_advice(debug) if outcome.trace else ''}")
    elif outcome.status == "skipped":
        console.say(f"{name}: skipped, {printable(outcome.case.output_name)} is there")
    else:
        result = printable(outcome.case.output_name)
        found = findings(outcome, organs)
        console.say(f"{name} -> {result}: {found}; {outcome.seconds:.1f} s ({outcome.timings})")


def _advice(debug: bool) -> str:
    """How to find out about a fault of the program, for whoever does not see its traceback."""
    return "" if debug else "; run it with --debug"


def _tell_plans(call: Call, cases: Sequence[Case], admit: Admit, console: Console) -> int:
    """Print the plan of each case, from its header alone; 1 if a run would refuse one by that."""
    code = 0
    for case in cases:
        prepared = prepare_case(case, admit)
        if isinstance(prepared, FailedCase):
            if prepared.failure.ends_run is not None:
                raise prepared.failure.ends_run
            _tell(failed_case(prepared, prepared.failure), console, organs=(), debug=call.debug)
            code = 1
        elif prepared.plan is not None:
            console.say(f"{printable(case.path.name)}\n{prepared.plan.describe()}")
    return code
