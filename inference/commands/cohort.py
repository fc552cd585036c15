"""Segment a cohort: any number of CTs, on one machine or on a Ray cluster.

The input is a folder, searched as deep as it goes, or a table (.csv) with the columns case, image and one for
each further channel; where folders hold several DICOM series, a column series may give the UID or the number
of the one to take. The output mirrors the input. Both may be local paths or URLs that fsspec knows (s3://,
gs://, sftp:// ...). What became of each case is in OUTPUT/CASE.outcome.json, and of all in
OUTPUT/outcomes.csv. However a run was ended, --resume goes on with it.

exit codes: 0 all cases segmented; 1 some failed, in this run or before, and are named; 2 wrong call, nothing
could be run or written, or no worker is left; 130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP (--resume goes
on)
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path

from inference.call import EMBEDDED_BUNDLE
from inference.cohort.asked_files import COHORT_PAGE, check_asked_file
from inference.cohort.cases import check_folders
from inference.cohort.cluster.cohort_results import CohortResults, open_results, table_name
from inference.cohort.cluster.driver.case_queue import in_part
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.cohort_page import PageFigures, page_of
from inference.cohort.cluster.driver.cohort_run import CohortRun, Standing
from inference.cohort.cluster.driver.cohort_search import as_typed, find_tasks
from inference.cohort.cluster.driver.earlier_runs import left_to_do
from inference.cohort.cluster.driver.live_view import LiveView, summary
from inference.cohort.cluster.driver.ray_cluster import RayCluster, check_address, connect
from inference.cohort.cluster.driver.seats import setup_for
from inference.cohort.cluster.driver.worker_processes import processes_of_this_machine
from inference.cohort.cluster.fates import Fate, Task
from inference.cohort.cluster.storage import open_storage
from inference.cohort.cluster.worker.scratch import sweep_scratch
from inference.cohort.cluster.worker.worker_engine import Engine
from inference.cohort.further_results import SUFFIXES, object_writer
from inference.cohort.opening import made_by, value_unit
from inference.cohort.organ_table import OrgansOfCase, check_tables, organ_tables, table_paths
from inference.cohort.outcome import places, seen_in_windows
from inference.cohort.progress import Console
from inference.errors import UsageError
from inference.imaging.writing import whole_file
from inference.limits import MOST_GPU_MB, MOST_HOST_MB
from inference.option_values import Once, add_statistics, at_least_one
from model.bundle import ModelBundle, load_bundle
from model.case_names import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.register("action", None, Once)
    _add_places(parser)
    _add_workers(parser)
    _add_going_on(parser)
    _add_results(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    """What is segmented by what, and where results go."""
    add = parser.add_argument
    add("--input", required=True, metavar="DIR|LIST.csv", help="folder or table; a path or a URL")
    add("--output", required=True, metavar="DIR", help="where results go; a path or a URL")
    add("--bundle", type=Path, default=EMBEDDED_BUNDLE, metavar="DIR", help="default: the embedded bundle")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    """Where workers are, how many, and what each may take."""
    add = parser.add_argument
    add(
        "--address",
        default="none",
        metavar="none|local|auto|HOST:PORT",
        help="none: processes of this machine, without Ray; local: a Ray of this machine; auto: the Ray "
        "cluster that this machine is part of (default: %(default)s)",
    )
    add("--workers", type=at_least_one, metavar="N", help="at most (default: as many as there is room for)")
    add(
        "--gpus-per-worker",
        type=_share,
        default=1.0,
        metavar="F",
        help="e.g. 0.5 for two workers a GPU (default: %(default)s)",
    )
    add(
        "--cpus-per-worker",
        type=at_least_one,
        metavar="C",
        help="processors, and threads, of a worker (default: up to four)",
    )
    add(
        "--host-memory-mb",
        type=at_least_one,
        metavar="M",
        help="MiB of host memory that a worker stays within "
        f"(default: {MOST_HOST_MB}, or what the machine has)",
    )
    add(
        "--gpu-memory-mb",
        type=at_least_one,
        default=MOST_GPU_MB,
        metavar="G",
        help="MiB of GPU memory that a worker stays within (default: %(default)s)",
    )
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: GPUs where a machine has them (default: %(default)s)",
    )
    add("--precision", choices=("auto", "fp32"), default="auto", help="as for predict.py")


def _add_going_on(parser: argparse.ArgumentParser) -> None:
    """Which cases are tried, and how often."""
    add = parser.add_argument
    add(
        "--retries",
        type=_natural,
        default=2,
        metavar="N",
        help="tries after the first, where a worker was lost or storage failed (default: %(default)s)",
    )
    add("--resume", action="store_true", help="go on: leave out cases that have an outcome or a label map")
    add("--retry-failed", action="store_true", help="with --resume: try those that failed once more")
    add("--part", type=_part, metavar="K/N", help="only the K-th of N parts, for job arrays")


def _add_results(parser: argparse.ArgumentParser) -> None:
    """What is written beside label maps."""
    add = parser.add_argument
    add(
        "--format",
        action="append",
        choices=tuple(SUFFIXES),
        default=[],
        help="also write each result as DICOM, referring to the slices of its series; may be repeated",
    )
    add_statistics(parser)
    add(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write a page: times, volumes with outliers, failures",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the cohort; the exit code is 0 if every case was segmented, 1 if some failed."""
    fields = {name: value for name, value in vars(arguments).items() if name in CohortCall.__annotations__}
    call = CohortCall(**(fields | {"format": tuple(arguments.format)}))
    return segment_cohort(call, Console(), open_engine)


def segment_cohort(call: CohortCall, console: Console, opens: Callable[[CohortCall, Console], Engine]) -> int:
    """Bring every case of a cohort to its fate, and write what became of all.

    Args:
        call: what is asked for.
        console: who is told.
        opens: makes the engine, once it is known that there is something to do.

    Returns:
        0 if every case was segmented or skipped, 1 if some failed.

    Raises:
        UsageError: wrong call; or the output cannot be written.
        BundleError: no usable bundle.
        DeviceError: there is no room for a worker, or none is left.
    """
    started_s = time.monotonic()
    if call.retry_failed and not call.resume:
        raise UsageError("--retry-failed: goes with --resume")
    check_address(call.address)
    if call.format:
        object_writer(call.format)
    bundle = load_bundle(call.bundle)
    _keep_apart(call.input, call.output)
    channels = len(bundle.manifest.inputs)
    tasks = in_part(find_tasks(call.input, channels, partial(_warn, console)), call.part)
    results = open_results(call.output)
    output = Path(results.storage.root) if results.storage.is_local else None
    if call.report is not None:
        check_asked_file(call.report, COHORT_PAGE, output=output)
    if call.statistics is not None:
        check_tables(call.statistics, call.report, output)
    results.check()
    standing = Standing(total=len({task.case for task in tasks}))
    view = LiveView(console, standing, draws=sys.stderr.isatty(), as_typed=as_typed(call.input))
    todo = left_to_do(call, tasks, results, standing, view.tell, bundle.sha256)
    engine = opens(call, console) if todo else None
    try:
        if engine is not None:
            CohortRun(
                engine=engine,
                results=results,
                standing=standing,
                retries=call.retries,
                tell=view.tell,
                warn=partial(_warn, console),
                progress=view.progress,
            ).run(todo)
    finally:
        console.end_progress()
        if not all(worker.is_there for worker in standing.workers.values()):
            results.sweep(results.earlier().unfinished)
            sweep_scratch()
        failed = _write_all(call, tasks, results, bundle, console, standing.unrecorded)
    failed_before = [case for case in failed if case in standing.earlier]
    said = summary(standing, failed_before, time.monotonic() - started_s)
    tables = None if call.statistics is None else " and ".join(map(str, table_paths(call.statistics)))
    labels = f"labels and {table_name(call.part)} in"
    console.say(said + places({labels: call.output, "organs in": tables, "page": call.report}))
    return int(bool(failed))


def open_engine(call: CohortCall, console: Console) -> Engine:
    """Workers where the call wants them, after a line about how many there are.

    Raises:
        UsageError: there is no such cluster.
        DeviceError: no machine has room for a worker.
    """
    if call.address == "none":
        processes = processes_of_this_machine(call)
        console.say(f"this machine: {processes.described}")
        return processes
    dashboard = connect(call.address)
    cluster = RayCluster(call, lambda room: setup_for(call, room))
    console.say(f"Ray: {cluster.described}{f'; dashboard http://{dashboard}' if dashboard else ''}")
    return cluster


def _warn(console: Console, text: str) -> None:
    console.complain(f"warning: {printable(text)}")


def _keep_apart(source: str, output: str) -> None:
    """Results must not be found as images by the next run, nor images be swept away.

    Raises:
        UsageError: one lies in the other.
    """
    inner, outer = open_storage(source), open_storage(output)
    if inner.is_local and outer.is_local and not source.lower().endswith(".csv"):
        check_folders(Path(inner.root), Path(outer.root))
        check_folders(Path(outer.root), Path(inner.root))


def _write_all(
    call: CohortCall,
    tasks: Sequence[Task],
    results: CohortResults,
    bundle: ModelBundle,
    console: Console,
    unrecorded: Sequence[Fate],
) -> list[str]:
    """The table of all outcomes, and of organs and the page if asked for; the cases that failed."""
    failed: list[str] = []
    in_windows: list[tuple[int, int] | None] = []
    figures = PageFigures(structures=bundle.manifest.output.as_label_set().names)
    with ExitStack() as whole:
        takes: list[Callable[[Fate], None]] = [figures.add]
        if call.statistics is not None:
            add = whole.enter_context(organ_tables(call.statistics, value_unit(bundle)))
            takes.append(lambda fate: add(_organs_of(fate)))

        def counted() -> Iterator[Fate]:
            for fate in chain(results.fates(list(dict.fromkeys(task.case for task in tasks))), unrecorded):
                if fate.status == "failed":
                    failed.append(fate.case)
                if fate.larger_windows_mb:
                    in_windows.append(fate.larger_windows_mb)
                for take in takes:
                    take(fate)
                yield fate

        results.write_table(counted(), figures.structures, table_name(call.part))
    if cut := seen_in_windows(in_windows):
        _warn(console, cut)
    if call.statistics is not None and figures.without_organs:
        lacking = f"{figures.without_organs} case{'s' * (figures.without_organs != 1)}"
        console.complain(f"warning: {call.statistics}: lacks {lacking} segmented without --statistics")
    if call.report is not None:
        with whole_file(call.report) as file:
            written = f"Written {time.strftime('%Y-%m-%d %H:%M')} by {made_by(bundle)}"
            file.write(page_of(figures, f"Cohort {call.input}", written).encode())
    return failed


def _organs_of(fate: Fate) -> OrgansOfCase:
    organs = fate.organs or ()
    return OrgansOfCase(case=printable(fate.case), status=fate.status, doubts=fate.doubts, organs=organs)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 0 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 8 or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a share of a GPU above 0, or a whole number")
    return value


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: must be K/N with K from 1 to N, e.g. 3/8")
    return int(part), int(parts)
