"""What `python -m training benchmark step` does."""

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from training.comparison.measured_steps import table, time_steps
from training.data.checking import Expected, checked_cases
from training.data.resolving import resolved
from training.data.store import CaseStore
from training.distributed.ranks import ALONE
from training.recipes.loading import load_recipe
from training.recipes.sampling_options import AUTO
from training.runs.batch_size import largest_batch
from training.runs.checkpoints import RunInfo
from training.runs.device import find_device, find_precision
from training.runs.record import hardware
from training.runs.run import Run, start_run
from training.training_errors import RecipeError
from training.whole_files import write_json

CACHE_MB = 8192.0
"""Memory for resampled cases, as `train` has it."""


def run(arguments: argparse.Namespace) -> int:
    """Measure as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data are not usable, there is no GPU, or a step does not fit into memory.
    """
    if min(arguments.steps, arguments.workers, arguments.threads or 1) < 1 or arguments.warm_up < 0:
        raise RecipeError("--steps, --workers and --threads: must be 1 or more; --warm-up: 0 or more")
    device = find_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe, arguments.overrides, data=arguments.data)
    recipe = resolved(recipe, [arguments.data])
    cases = checked_cases(arguments.data, Expected(channels=len(recipe.stated_inputs)))
    info = RunInfo(
        recipe=recipe,
        step=0,
        seed=0,
        precision=find_precision(recipe.precision, device),
        cases=tuple(case.name for case in cases),
    )
    store = CaseStore(cases, recipe, CACHE_MB)
    with tempfile.TemporaryDirectory() as folder:
        if recipe.sampling.batch_size == AUTO and not recipe.curriculum:
            info = replace(info, batch_size=largest_batch(info, device, Path(folder), ALONE))
        state = start_run(info, device, Path(folder))
    times = time_steps(state, store, arguments.steps, arguments.warm_up, arguments.workers)
    about = _about(state)
    columns = {
        "recipe": about["recipe"],
        "M parameters": f"{about['parameters'] / 1e6:.2f}",
        "patch": "×".join(map(str, about["patch_zyx"])),
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
        "patch_zyx": stage.recipe.patch_zyx,
        "batch_size": stage.batch_size,
        "precision": run.info.precision,
    }
