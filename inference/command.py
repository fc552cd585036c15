"""One call of `predict.py`, from the checks before anything runs to the exit code: the one place where errors become messages."""

import time
import traceback

from inference.batch import Batch, begin, exit_code, summary
from inference.call import Call
from inference.cases import check_folders, find_cases, prepare_output
from inference.console import Console
from inference.errors import LeanSegError, UsageError, one_line
from inference.predictor import Predictor
from inference.report import write_report
from model.bundle import BundleError, load_bundle

WRONG_CALL = 2


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
        console.complain(f"error: {type(error).__name__}: {one_line(error)}; this is a fault of the program, run it with --debug")
        return WRONG_CALL


def _run(call: Call, console: Console) -> int:
    start = time.perf_counter()
    outcomes = begin(find_cases(call.input))
    check_folders(call.input, call.output)
    bundle = load_bundle(call.bundle)
    prepare_output(call.output)
    if call.report is not None and not call.report.parent.is_dir():
        raise UsageError(f"{call.report.parent}: no such folder; make it or give another file with --report")
    batch = Batch(output=call.output, console=console, skip_existing=call.skip_existing, debug=call.debug)
    try:
        batch.run(outcomes, lambda: Predictor(bundle, device=call.device, threads=call.threads))
    finally:
        if call.report is not None:
            write_report(call.report, call, bundle, outcomes, time.perf_counter() - start)
    console.say(summary(outcomes, time.perf_counter() - start))
    return exit_code(outcomes)
