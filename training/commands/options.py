"""Options that several commands have."""

import argparse
import os

from training.pseudo_labels.engine import EngineOptions
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
