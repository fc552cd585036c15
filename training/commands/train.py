"""`python -m training train`: a recipe and a data set become checkpoints."""

import argparse
import logging
from pathlib import Path

import torch

from training.data.checking import Expected, checked_cases
from training.data.folders import CaseFiles, data_name, split_cases
from training.data.resolving import resolved
from training.data.store import CaseStore
from training.recipes.loading import load_recipe
from training.runs.checkpoints import RunInfo
from training.runs.loop import train
from training.runs.run import BEST, LAST, resume_run, start_run
from training.training_errors import CheckpointError, RecipeError, TrainingError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `train`."""
    parser.add_argument("recipe", help="name of a recipe in training/recipes, or a YAML file")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        action="append",
        help="data-set folder (imagesTr, labelsTr); may be repeated",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and log.jsonl")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    parser.add_argument(
        "--init", type=Path, metavar="CHECKPOINT", help="start from these weights instead of random ones"
    )
    parser.add_argument("--seed", type=int, default=0, help="source of all randomness (default 0)")
    parser.add_argument(
        "--steps", type=int, help="optimizer steps instead of the recipe's; the schedule follows"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="e.g. optimizer.learning_rate=1e-3",
    )
    parser.add_argument(
        "--validation",
        default="0.1",
        metavar="DIR|FRACTION",
        help="held-out data set, or share of --data (default 0.1; 0 is none)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="default: the fastest that is safe here",
    )
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all cores)")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare patches (default 1)")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="also keep resampled cases in this folder, for later runs"
    )
    parser.add_argument(
        "--cache-mb", type=float, default=8192, help="memory for resampled cases, MiB (default 8192)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data or checkpoint are not usable.
    """
    steps = [] if arguments.steps is None else [f"stopping.steps={arguments.steps}"]
    recipe = load_recipe(arguments.recipe, [*arguments.overrides, *steps], data=arguments.data[0])
    device = _device(arguments.device)
    _check(arguments)
    recipe = resolved(recipe, arguments.data)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cases, held_out = _cases(arguments, len(recipe.stated_inputs))
    info = RunInfo(
        recipe=recipe,
        step=0,
        seed=arguments.seed,
        precision=_precision(arguments.precision, device),
        cases=tuple(case.name for case in cases),
        data="; ".join(data_name(folder) for folder in arguments.data),
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.resume:
        state = resume_run(info, device, arguments.output)
    else:
        state = start_run(info, device, arguments.output, arguments.init)
    logger.info(
        "%s: %d cases, %d held out, %d steps from %d, %s in %s",
        recipe.name,
        len(cases),
        len(held_out),
        recipe.stopping.steps,
        state.info.step,
        device,
        info.precision,
    )
    share = len(held_out) / (len(cases) + len(held_out))
    store = CaseStore(cases, recipe, arguments.cache_mb * (1 - share), arguments.cache)
    watched = CaseStore(held_out, recipe, arguments.cache_mb * share, arguments.cache) if held_out else None
    train(state, store, watched, arguments.workers)
    logger.info("done: %s", arguments.output / (BEST if held_out else LAST))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.resume and arguments.init:
        raise RecipeError("--resume goes on from the run's own weights: leave out --init")
    if not arguments.resume and (arguments.output / LAST).exists():
        raise CheckpointError(
            f"{arguments.output}: already holds a run; go on with --resume, or choose another --output"
        )
    if arguments.workers < 1 or (arguments.threads is not None and arguments.threads < 1):
        raise RecipeError("--workers and --threads: must be 1 or more")
    if arguments.seed < 0:
        raise RecipeError(f"--seed: must be 0 or more, is {arguments.seed}")


def _cases(
    arguments: argparse.Namespace, channels: int
) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    """Training and held-out cases, complete and with sound headers."""
    expected = Expected(channels=channels)
    cases = tuple(case for folder in arguments.data for case in checked_cases(folder, expected))
    try:
        fraction = float(arguments.validation)
    except ValueError:
        return cases, checked_cases(Path(arguments.validation), expected)
    if not 0 <= fraction < 1:
        raise RecipeError(
            f"--validation: must be a folder, or a share from 0 to below 1, is {arguments.validation}"
        )
    # Not split by --seed: members of an ensemble with seeds of their own are then judged on the same cases.
    return split_cases(cases, fraction, seed=0)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch finds no usable NVIDIA GPU here")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _precision(name: str, device: torch.device) -> str:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without the instructions bf16 is emulated, and slower than fp32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"
