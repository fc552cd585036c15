"""What `python -m training benchmark augmentation` does."""

import argparse
import sys

import torch

from training.comparison.patch_speed import WAYS, measure
from training.training_errors import RecipeError, TrainingError


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the table.

    Raises:
        RecipeError: a number is out of range.
        TrainingError: there is no GPU.
    """
    if min(*arguments.sides, arguments.patches, arguments.threads, 512) < 1 or max(arguments.sides) > 512:
        raise RecipeError("--sides: must be 1 to 512; --patches and --threads: must be 1 or more")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch finds no usable NVIDIA GPU here")
    torch.set_num_threads(arguments.threads)
    out = sys.stdout.write
    out("| augmentation | patch | patches/s | mean ms | median ms | CPU ms |\n|---|---|---|---|---|---|\n")
    for side in arguments.sides:
        for name, augmentation in WAYS.items():
            took = measure(
                augmentation, (side, side, side), arguments.patches, torch.device(arguments.device)
            )
            out(
                f"| {name} | {side}³ | {1 / took.mean_s:.1f} | {1000 * took.mean_s:.1f} | "
                f"{1000 * took.median_s:.1f} | {1000 * took.cpu_s:.1f} |\n"
            )
            sys.stdout.flush()
    return 0
