"""Carry out a plan: a whole method as steps, from data to a bundle.

Each step is a command of `python -m training`, and its results lie in --output in a folder of its name. Steps
that are done are left alone as long as what they depend on stays the same: their fields, recipes and data. A
plan that was interrupted, or killed, goes on where it was when it is called again.

exit codes: 0 done; 1 a step failed; 2 wrong call or plan; 130 interrupted
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

from training.commands.options import add_gpus, add_overrides, gpu_numbers
from training.folder_lock import locked
from training.plans.carrying_out import Work, carry_out, given_inputs, input_lines
from training.plans.ledger import Ledger
from training.plans.plan_loading import find_plan, load_plan
from training.plans.step_parts import Machine
from training.training_errors import RecipeError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `run`."""
    parser.add_argument("plan", help="name of a plan in training/plans/published, or a YAML file")
    parser.add_argument(
        "--input",
        dest="inputs",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="one of the plan's inputs; may be repeated",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the results of all steps"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say how far each step is and what it would run, and stop"
    )
    parser.add_argument(
        "--redo", action="store_true", help="do steps anew whose fields, recipes or data changed"
    )
    add_overrides(parser, "a field of the plan, e.g. steps.small.seed=3")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of networks (default: all cores)")
    parser.add_argument("--workers", type=int, help="threads that prepare patches (default: each command's)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="as for train")
    parser.add_argument("--cache-mb", type=float, help="as for train")
    parser.add_argument(
        "--case-makers",
        type=int,
        metavar="N",
        help="processes that make synthetic cases, in steps of their own or beside a training (default: 1)",
    )
    add_gpus(parser, "each for one fold, or one share of the cases, at a time")
    parser.add_argument(
        "--gpus-per-run",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that train one network together (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out a plan as the command line says.

    Raises:
        PlanError: plan or inputs are faulty, a step is stale, or another one is at work in the folder.
        RecipeError: a recipe or the call is faulty.
        DataError: an input is not usable.
        TrainingError: a step failed.
    """
    path = find_plan(arguments.plan)
    plan = load_plan(path, arguments.overrides)
    work = Work(
        plan=plan,
        folder=path.parent,
        inputs=given_inputs(plan, arguments.inputs),
        ledger=Ledger(folder=arguments.output),
        machine=_machine(arguments),
    )
    told = input_lines(work)
    if arguments.dry_run:
        sys.stdout.write("\n".join([*told, *_table(work)]) + "\n")
        return 0
    for line in told:
        logger.info("%s", line)
    with locked(arguments.output) as lock:
        carry_out(work, lock, redo=arguments.redo)
    logger.info("done: %s", arguments.output)
    return 0


def _machine(arguments: argparse.Namespace) -> Machine:
    for name in ("threads", "workers", "case_makers", "gpus_per_run"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise RecipeError(f"--{name.replace('_', '-')}: must be 1 or more, is {value}")
    gpus = gpu_numbers(arguments)
    if arguments.gpus_per_run > 1 and (not gpus or len(gpus) % arguments.gpus_per_run):
        raise RecipeError(
            f"--gpus-per-run: {len(gpus)} GPUs, given with --gpus, cannot be shared out by "
            f"{arguments.gpus_per_run}"
        )
    return Machine(
        device=arguments.device,
        threads=arguments.threads,
        workers=arguments.workers,
        cache=arguments.cache,
        cache_mb=arguments.cache_mb,
        case_makers=arguments.case_makers,
        gpus=gpus,
        gpus_per_run=arguments.gpus_per_run,
    )


def _table(work: Work) -> list[str]:
    """A row for each step, then what each that is not done would run."""
    states = work.states()
    wide = max(map(len, states))
    rows = [f"{'step':{wide}}  {'kind':24}  state"]
    rows += [f"{name:{wide}}  {work.plan.steps[name].kind:24}  {state}" for name, state in states.items()]
    for name, state in states.items():
        if state.word != "done":
            rows += ["", f"{name}:", f"  python {shlex.join(work.words(name))}"]
    return rows
