"""What `python -m training benchmark accelerated` does."""

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from training.commands.train_call import TrainCall
from training.commands.work.train_work import train_as
from training.comparison.accelerating import accelerated_document, baseline_document, write_document
from training.comparison.held_out_scores import GridScore, score_checkpoint
from training.comparison.paired_table import Row, compare, markdown
from training.data.doubled_cases import refuse_common_images
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.recipes.extending import find_recipe, read_recipe_document
from training.recipes.loading import load_recipe, replace_field
from training.recipes.stopping_options import Converged, FixedSteps
from training.runs.checkpoints import load_checkpoint
from training.runs.device import find_device
from training.runs.run_files import BEST, LAST
from training.training_errors import RecipeError
from training.whole_files import write_json

WAYS = ("baseline", "accelerated")

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Compare as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data or a checkpoint are not usable, or cases to judge by are trained on.
        WriteError: a file cannot be written.
    """
    if arguments.seeds < 1:
        raise RecipeError(f"--seeds: must be 1 or more, is {arguments.seeds}")
    if arguments.output.exists() and any(arguments.output.iterdir()):
        raise RecipeError(f"--output: {arguments.output} is not empty; choose a new folder")
    refuse_common_images(labelled_cases(arguments.data), labelled_cases(arguments.test), "judged by")
    recipes = _write_recipes(arguments)
    # Both ways find resampled cases on disk, so that neither pays for them.
    _train(arguments, recipes["baseline"], arguments.output / "warm-up", 0, steps=1)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu_seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    scores: dict[str, list[list[GridScore]]] = {way: [] for way in WAYS}
    steps: dict[str, list[int]] = {way: [] for way in WAYS}
    for seed in range(arguments.seeds):
        for way in WAYS:
            folder = arguments.output / f"{way}-{seed}"
            started, worked = time.monotonic(), time.process_time()
            _train(arguments, recipes[way], folder, seed)
            seconds[way].append(time.monotonic() - started)
            cpu_seconds[way].append(time.process_time() - worked)
            steps[way].append(load_checkpoint(folder / LAST)[1].step)
            scores[way].append(_score(arguments, folder))
    rows = compare(scores["baseline"], scores["accelerated"])
    _report(arguments, rows, Taken(seconds=seconds, cpu_seconds=cpu_seconds, steps=steps))
    return 0


def _write_recipes(arguments: argparse.Namespace) -> dict[str, Path]:
    """Write both recipes into the output folder; way to file."""
    document = read_recipe_document(find_recipe(arguments.recipe))
    for override in arguments.overrides:
        replace_field(document, override)
    path = arguments.output / "baseline.yaml"
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_document(path, baseline_document(document))
    recipe = load_recipe(str(path), data=arguments.data)
    if isinstance(recipe.stopping, FixedSteps):
        cases = len(labelled_cases(arguments.data))
        epochs = -(-recipe.stopping.steps // recipe.sampling.steps_of_epoch(cases))
    else:
        epochs = recipe.stopping.epochs
    faster = arguments.output / "accelerated.yaml"
    workflow = accelerated_document(document, epochs, arguments.window_epochs, arguments.slope_per_epoch)
    write_document(faster, workflow)
    decay = workflow["stopping"].get("anneal_epochs", Converged.anneal_epochs)
    if decay >= epochs:
        raise RecipeError(
            f"--window-epochs: the baseline's {epochs} epochs are no more than the {decay} of the decay; "
            "give fewer, or a longer baseline"
        )
    load_recipe(str(faster), data=arguments.data)
    return {"baseline": path, "accelerated": faster}


def _train(
    arguments: argparse.Namespace, recipe: Path, output: Path, seed: int, steps: int | None = None
) -> None:
    call = TrainCall(
        recipe=str(recipe),
        data=[arguments.data],
        output=output,
        validation=arguments.validation,
        seed=seed,
        steps=steps,
        device=arguments.device,
        threads=arguments.threads,
        workers=arguments.workers,
        cache=arguments.output / "cache",
    )
    train_as(call)


def _score(arguments: argparse.Namespace, folder: Path) -> list[GridScore]:
    path = folder / BEST if (folder / BEST).exists() else folder / LAST
    recipe = load_checkpoint(path)[1].recipe
    store = CaseStore(labelled_cases(arguments.test), recipe, 0.0, arguments.output / "cache")
    return score_checkpoint(path, store, find_device(arguments.device))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the runs of each way took, one figure for each seed."""

    seconds: Mapping[str, Sequence[float]]
    """On the clock, validations included."""
    cpu_seconds: Mapping[str, Sequence[float]]
    """Of all processors together, which other programs on the machine change less."""
    steps: Mapping[str, Sequence[int]]


def _report(arguments: argparse.Namespace, rows: Sequence[Row], taken: Taken) -> None:
    mean_s = {way: fmean(taken.seconds[way]) for way in WAYS}
    cpu_s = {way: fmean(taken.cpu_seconds[way]) for way in WAYS}
    ratio, cpu_ratio = (times["baseline"] / times["accelerated"] for times in (mean_s, cpu_s))
    document = {
        "recipe": arguments.recipe,
        **asdict(taken),
        "times_faster": ratio,
        "times_less_cpu": cpu_ratio,
        "rows": [asdict(row) for row in rows],
    }
    write_json(arguments.output / "benchmark.json", document)
    sys.stdout.write(markdown(rows) + "\n\n")
    for way in WAYS:
        steps = fmean(taken.steps[way])
        sys.stdout.write(f"{way}: {mean_s[way]:.1f} s, {cpu_s[way]:.1f} s of CPU time, {steps:.0f} steps\n")
    sys.stdout.write(
        f"the accelerated workflow takes {ratio:.2f} times less time, {cpu_ratio:.2f} times less CPU time\n"
    )
