"""One call of `predict.py`, from the checks before anything runs to the exit code: the one place where errors become messages."""

import time
import traceback
from collections.abc import Sequence

from inference.call import WRONG_CALL, Call
from inference.cohort.cases import check_folders, find_cases, prepare_output
from inference.cohort.folder import Batch, Outcome, begin, exit_code, naming, summary
from inference.cohort.progress import Console
from inference.cohort.run_report import check_report, write_report
from inference.errors import InputError, LeanSegError, OutputError, one_line, printable
from inference.imaging.reading import read_header
from inference.planning.planner import Budget, Planner
from inference.predictor import Predictor
from inference.runtime.session import Precision, select_backend
from model.bundle import BundleError, ModelBundle, load_bundle


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
        console.complain(
            f"error: {type(error).__name__}: {one_line(error)}; this is a fault of the program, run it with "
            "--debug"
        )
        return WRONG_CALL


def _run(call: Call, console: Console) -> int:
    start = time.perf_counter()
    outcomes = begin(find_cases(call.input))
    check_folders(call.input, call.output)
    bundle = load_bundle(call.bundle)
    if call.plan:
        return _tell_plans(outcomes, _planner(call, bundle), console)
    prepare_output(call.output)
    if call.report is not None:
        check_report(call.report)
    batch = Batch(output=call.output, console=console, skip_existing=call.skip_existing, debug=call.debug)

    def report() -> None:
        if call.report is not None:
            write_report(call.report, call, bundle, outcomes, time.perf_counter() - start)

    try:
        batch.run(outcomes, lambda: _predictor(call, bundle, one_case=len(outcomes) == 1))
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


def _limits(call: Call) -> tuple[Precision | None, Budget]:
    """The precision that is forced, if any, and the memory that may be taken."""
    return None if call.precision == "auto" else call.precision, Budget(
        host_mb=call.host_memory_mb, gpu_mb=call.gpu_memory_mb
    )


def _predictor(call: Call, bundle: ModelBundle, *, one_case: bool) -> Predictor:
    precision, budget = _limits(call)
    return Predictor(
        bundle, device=call.device, threads=call.threads, precision=precision, budget=budget, release=one_case
    )


def _planner(call: Call, bundle: ModelBundle) -> Planner:
    precision, budget = _limits(call)
    return Planner(bundle=bundle, backend=select_backend(call.device), precision=precision, budget=budget)


def _tell_plans(outcomes: Sequence[Outcome], planner: Planner, console: Console) -> int:
    """Print the plan of each case, from its header alone; 1 if one cannot be read or planned."""
    code = 0
    for outcome in outcomes:
        try:
            if outcome.error:
                raise InputError(outcome.error)
            header = read_header(outcome.case.path)
            plan = planner.plan(header.geometry, voxel_bytes=header.voxel_bytes)
        except LeanSegError as error:
            console.complain(f"error: {naming(outcome.case, error)}")
            code = 1
        else:
            console.say(f"{printable(outcome.case.path.name)}\n{plan.describe()}")
    return code
