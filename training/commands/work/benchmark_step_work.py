"""What `python -m training benchmark step` does."""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.commands.train_call import TrainCall
from training.commands.work.train_start import fresh_cases, prepare, started_run
from training.comparison.measured_steps import table, time_steps
from training.data.store import CaseStore
from training.distributed.ranks import ALONE
from training.recipes.running_options import WHOLE
from training.runs.device import find_device
from training.runs.record import hardware
from training.runs.run import Run
from training.training_errors import RecipeError
from training.whole_files import write_json


def run(arguments: argparse.Namespace) -> int:
    """Measure as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data are not usable, there is no GPU, or a step does not fit into memory.
    """
    if min(arguments.steps, arguments.workers, arguments.threads or 1) < 1 or arguments.warm_up < 0:
        raise RecipeError("--steps, --workers and --threads: must be 1 or more; --warm-up: 0 or more")
    device = find_device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        call = TrainCall(
            recipe=arguments.recipe,
            data=[arguments.data],
            output=Path(folder),
            validation="0",
            overrides=arguments.overrides,
            threads=arguments.threads,
            workers=arguments.workers,
            anatomy=arguments.anatomy,
            case_makers=arguments.case_makers,
        )
        info, data = prepare(call, device, ALONE)
        state = started_run(call, info, device, ALONE)
    store = CaseStore(data.cases, info.recipe, call.cache_mb)
    with fresh_cases(call, info) as fresh:
        times = time_steps(state, store, arguments.steps, arguments.warm_up, arguments.workers, fresh)
    about = _about(state)
    columns = {
        "recipe": about["recipe"],
        "M parameters": f"{about['parameters'] / 1e6:.2f}",
        "patch": WHOLE if about["patch_zyx"] == WHOLE else "×".join(map(str, about["patch_zyx"])),
        "batch": about["batch_size"],
        "precision": about["precision"],
    }
    sys.stdout.write(table(columns, times))
    if arguments.json:
        figures = {"step_s": times.step_s, "patches_per_s": times.patches_per_s, **asdict(times)}
        write_json(arguments.json, {**about, **figures, "hardware": hardware(device)})
    return 0


def _about(run: Run) -> dict[str, Any]:
    """What is measured."""
    stage = run.timetable.stages[0]
    return {
        "recipe": run.info.recipe.name,
        "parameters": run.parameters,
        "patch_zyx": WHOLE if stage.whole else stage.recipe.patch_zyx,
        "batch_size": stage.batch_size,
        "precision": run.info.precision,
    }
