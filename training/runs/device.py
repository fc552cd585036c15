"""Where a run computes, and in which precision."""

import platform

import torch

from model.networks.native_bf16 import computes_bf16
from training.distributed.ranks import ALONE, Ranks
from training.training_errors import TrainingError


def find_device(name: str, ranks: Ranks = ALONE) -> torch.device:
    """The device of this process.

    Args:
        name: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        ranks: several processes have a GPU each.

    Raises:
        TrainingError: `cuda` is asked for, and there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch finds no usable NVIDIA GPU here")
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", ranks.local_rank) if ranks.world > 1 else torch.device("cuda")
    return torch.device("cpu")


def find_precision(name: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16` as asked for; for `auto` the fastest that the device itself computes in."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if computes_bf16() else "fp32"


def emulates_bf16(precision: str, device: torch.device) -> bool:
    """Whether torch emulates bf16 here: then a step takes many times as long as in fp32.

    What other processors than x86-64 compute in themselves, torch does not tell.
    """
    known = platform.machine() in ("x86_64", "AMD64")
    return precision == "bf16" and device.type == "cpu" and known and not computes_bf16()
