"""Options that several commands have."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from training.commands.train_call import TrainCall
from training.engine import EngineOptions
from training.training_errors import RecipeError


def add_workers(parser: argparse.ArgumentParser, does: str) -> None:
    """Declare `--workers`, a number of threads.

    Args:
        parser: of the command.
        does: what the threads do, e.g. `read files`.
    """
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help=f"threads that {does} (default: %(default)s)",
    )


def check_workers(arguments: argparse.Namespace) -> None:
    """Refuse a number of threads below 1.

    Raises:
        RecipeError: it is below 1.
    """
    if arguments.workers < 1:
        raise RecipeError("--workers: must be 1 or more")


def add_overrides(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare `--set FIELD=VALUE`, which may be repeated; kept as `overrides`, a list of words."""
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE", help=text
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Declare how a network is trained, apart from recipe and data: what `run_words` gives on to `train`."""
    parser.add_argument(
        "--seed", type=int, default=TrainCall.seed, help="source of all randomness (default: 0)"
    )
    parser.add_argument(
        "--steps", type=int, help="optimizer steps instead of what the recipe says; the schedule follows"
    )
    add_overrides(parser, "e.g. optimizer.learning_rate=1e-3")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="auto: the fastest that is safe here (default: what the recipe says)",
    )
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all cores)")
    parser.add_argument(
        "--workers", type=int, default=TrainCall.workers, help="threads that prepare patches (default: 1)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="also keep resampled cases in this folder, for later runs"
    )
    parser.add_argument(
        "--cache-mb",
        type=float,
        default=TrainCall.cache_mb,
        help="memory for resampled cases, MiB, of all processes of a machine together (default: 8192)",
    )
    add_synthesis(parser)
    parser.add_argument(
        "--tensorboard", action="store_true", help="also write curves and pictures for TensorBoard"
    )


def add_synthesis(parser: argparse.ArgumentParser) -> None:
    """Declare how a run makes the cases that its recipe asks for."""
    parser.add_argument(
        "--anatomy",
        type=Path,
        metavar="DIR",
        help="label maps to paint over, if the recipe makes synthetic cases while it trains (synthesis)",
    )
    parser.add_argument(
        "--case-makers",
        type=int,
        default=TrainCall.case_makers,
        metavar="N",
        help="processes that make synthetic cases (default: 1)",
    )


def run_words(arguments: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    """The options of `add_run_options` as words of a call of `train`, with these overrides of its recipe."""
    valued = {
        "--seed": arguments.seed,
        "--steps": arguments.steps,
        "--device": arguments.device,
        "--precision": arguments.precision,
        "--threads": arguments.threads,
        "--workers": arguments.workers,
        "--cache": arguments.cache,
        "--cache-mb": arguments.cache_mb,
        "--anatomy": arguments.anatomy,
        "--case-makers": arguments.case_makers,
    }
    words = [word for option, value in valued.items() if value is not None for word in (option, str(value))]
    words += [word for override in overrides for word in ("--set", override)]
    return [*words, "--tensorboard"] if arguments.tensorboard else words


def wanted_overrides(overrides: Sequence[str], steps: int | None) -> list[str]:
    """The overrides of a recipe that `--set` and `--steps` ask for."""
    return [*overrides, *([] if steps is None else [f"stopping={{kind: fixed_steps, steps: {steps}}}"])]


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare the options that commands hand to `predict.py`."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    for name, text in (
        ("threads", "processor threads"),
        ("host-memory-mb", "MiB of host memory to stay within"),
        ("gpu-memory-mb", "MiB of GPU memory to stay within"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{text} (default: that of predict.py)")


def add_gpus(parser: argparse.ArgumentParser, does: str) -> None:
    """Declare `--gpus`, numbers with commas between; kept as `gpus`, a text.

    Args:
        parser: of the command.
        does: what is done on each, e.g. `a share of the cases on each`.
    """
    parser.add_argument("--gpus", metavar="0,1,…", help=f"GPUs to use, {does}")


def gpu_numbers(arguments: argparse.Namespace) -> tuple[int, ...]:
    """The GPUs of `--gpus`; none where it was not given.

    Raises:
        RecipeError: these are no different numbers.
    """
    words = arguments.gpus.split(",") if arguments.gpus else []
    if not all(word.isdecimal() for word in words) or len(set(words)) != len(words):
        raise RecipeError(f"--gpus: must be different numbers with commas between, is {arguments.gpus}")
    return tuple(map(int, words))


def engine_options(arguments: argparse.Namespace) -> EngineOptions:
    """The options of `predict.py` as the command line gives them.

    Raises:
        RecipeError: one is below 1.
    """
    options = EngineOptions(
        device=arguments.device,
        threads=arguments.threads,
        host_memory_mb=arguments.host_memory_mb,
        gpu_memory_mb=arguments.gpu_memory_mb,
    )
    for name in ("threads", "host_memory_mb", "gpu_memory_mb"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise RecipeError(f"--{name.replace('_', '-')}: must be 1 or more, is {value}")
    return options
