"""One call of `predict.py`, from the checks before anything runs to the exit code.

This is the one place where errors become messages.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from inference.call import WRONG_CALL, Call
from inference.cohort.cases import Case, check_folders, find_cases, prepare_output
from inference.cohort.folder import Begin, FolderRun, Tell
from inference.cohort.further_results import COST, FurtherResults, further_results
from inference.cohort.one_case import Admit, OpenedCase, open_case
from inference.cohort.outcome import Outcome, exit_code, naming, summary
from inference.cohort.progress import Console
from inference.cohort.run_report import check_report, write_report
from inference.cohort.watchdog import WatchedRun
from inference.errors import BudgetError, InputError, LeanSegError, OutputError, one_line, printable
from inference.imaging.dicom_results.maker import Maker
from inference.limits import memory_at_hand
from inference.planning.footprint import WritingCost
from inference.planning.plan import MOST_HOST_MB, Budget, InferencePlan
from inference.planning.planner import Planner
from inference.predictor import Predictor
from inference.runtime.backends import select_backend
from leanseg.version import VERSION
from model.bundle import BundleError, ModelBundle, load_bundle
from model.manifest.network import Precision


def run(call: Call) -> int:
    """Do what was asked; everything that the user can mend ends in one line on stderr.

    Returns:
        The exit code: 0 all cases segmented, 1 some failed, 2 nothing could be run or written.
    """
    console = Console()
    try:
        return _run(call, console)
    except (LeanSegError, BundleError) as error:
        console.complain(f"error: {one_line(error)}")
        return error.exit_code if isinstance(error, LeanSegError) else WRONG_CALL
    except Exception as error:
        if call.debug:
            console.complain(traceback.format_exc().rstrip())
        fault = f"{type(error).__name__}: {one_line(error)}"
        console.complain(f"error: {fault}; this is a fault of the program, run it with --debug")
        return WRONG_CALL


def _run(call: Call, console: Console) -> int:
    start = time.perf_counter()
    bundle = load_bundle(call.bundle)
    cases = find_cases(call.input, len(bundle.manifest.inputs))
    check_folders(call.input, call.output)
    further = _further(call, bundle, len(cases))
    planner = _planner(call, bundle, further)
    if call.plan:
        return _tell_plans(cases, planner, console)
    prepare_output(call.output)
    if call.report is not None:
        check_report(call.report)
    outcomes: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _tell(outcome, console, debug=call.debug)

    def report() -> None:
        if call.report is not None:
            write_report(call.report, call, bundle, _all(cases, outcomes), time.perf_counter() - start)

    try:
        if call.case_timeout_s is None:
            folder = _folder_run(call, bundle, planner, further, one_case=len(cases) == 1, tell=tell)
            replace(folder, progress=console.progress).run(cases)
        else:
            WatchedRun(
                work=partial(_segment, call, bundle),
                limit_s=call.case_timeout_s,
                output=call.output,
                tell=tell,
                progress=console.progress,
            ).run(cases)
    except BaseException:
        try:
            report()
        except OutputError as error:
            console.complain(
                f"error: {one_line(error)}"
            )  # What ended the run matters more, and is told after this.
        raise
    report()
    console.say(summary(outcomes, time.perf_counter() - start))
    return exit_code(outcomes)


def _folder_run(
    call: Call,
    bundle: ModelBundle,
    planner: Planner,
    further: FurtherResults | None,
    *,
    one_case: bool,
    tell: Tell,
) -> FolderRun:
    return FolderRun(
        output=call.output,
        admit=_admit(call, planner, further),
        open_predictor=lambda: _predictor(call, bundle, one_case=one_case),
        tell=tell,
        skip_existing=call.skip_existing,
        further=further,
    )


def _segment(call: Call, bundle: ModelBundle, cases: Sequence[Case], *, tell: Tell, begin: Begin) -> None:
    """What the second process of a watched run does."""
    further = _further(call, bundle, len(cases))
    planner = _planner(call, bundle, further)
    folder = _folder_run(call, bundle, planner, further, one_case=len(cases) == 1, tell=tell)
    replace(folder, begin=begin).run(cases)


def _all(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Every case's outcome in the order of the cases; those that were not come to are "not run"."""
    known = {outcome.case.path: outcome for outcome in outcomes}
    return [known.get(case.path) or Outcome(case=case, status="not run") for case in cases]


def _limits(call: Call) -> tuple[Precision | None, Budget]:
    """The precision that is forced, if any, and the memory that may be taken."""
    if call.host_memory_mb is None:
        at_hand = memory_at_hand(MOST_HOST_MB)
        budget = Budget(host_mb=at_hand.mb, gpu_mb=call.gpu_memory_mb, host_why=at_hand.why)
    else:
        budget = Budget(host_mb=call.host_memory_mb, gpu_mb=call.gpu_memory_mb)
    return None if call.precision == "auto" else call.precision, budget


def _predictor(call: Call, bundle: ModelBundle, *, one_case: bool) -> Predictor:
    precision, budget = _limits(call)
    return Predictor(
        bundle,
        device=call.device,
        threads=call.threads,
        precision=precision,
        budget=budget,
        release=one_case,
    )


def _planner(call: Call, bundle: ModelBundle, further: FurtherResults | None) -> Planner:
    precision, budget = _limits(call)
    backend = select_backend(call.device)
    writing = WritingCost() if further is None else COST
    return Planner(bundle=bundle, backend=backend, precision=precision, budget=budget, writing=writing)


def _further(call: Call, bundle: ModelBundle, cases: int) -> FurtherResults | None:
    manifest = bundle.manifest
    maker = Maker(
        program="LeanSeg",
        version=VERSION,
        bundle=manifest.name,
        bundle_version=manifest.provenance.git_revision,
        manifest_sha256=bundle.sha256,
    )
    return further_results(call.format, manifest.output.as_label_set(), maker, call.template, cases)


def _admit(call: Call, planner: Planner, further: FurtherResults | None) -> Admit:
    """Plans cases from their headers; where the GPU was the program's choice, the predictor may leave it."""

    def admit(opened: OpenedCase) -> InferencePlan | None:
        if further is not None:
            further.check(opened.case, opened.images[0])
        try:
            return planner.plan(opened.geometry, voxel_bytes=opened.voxel_bytes)
        except BudgetError:
            if call.device == "auto" and planner.backend == "cuda":
                return None
            raise

    return admit


def _tell(outcome: Outcome, console: Console, *, debug: bool) -> None:
    """One line for a case, and one for each warning."""
    name = printable(outcome.case.path.name)
    if debug and outcome.trace:
        console.complain(outcome.trace)
    for warning in outcome.warnings:
        console.complain(f"warning: {name}: {warning}")
    if outcome.ends_run:
        return  # Said once, by whoever catches what ends the run.
    if outcome.error:
        console.complain(f"error: {printable(outcome.error)}")
    elif outcome.status == "skipped":
        console.say(f"{name}: skipped, {printable(outcome.case.output_name)} is there")
    else:
        result = printable(outcome.case.output_name)
        console.say(f"{name} -> {result}: {outcome.timings}; {outcome.seconds:.1f} s")


def _tell_plans(cases: Sequence[Case], planner: Planner, console: Console) -> int:
    """Print the plan of each case, from its header alone; 1 if one cannot be read or planned."""
    code = 0
    for case in cases:
        try:
            if case.problem:
                raise InputError(case.problem)
            opened = open_case(case)
            plan = planner.plan(opened.geometry, voxel_bytes=opened.voxel_bytes)
        except LeanSegError as error:
            console.complain(f"error: {naming(case, error)}")
            code = 1
        else:
            console.say(f"{printable(case.path.name)}\n{plan.describe()}")
    return code
