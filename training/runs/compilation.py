"""`torch.compile`, or one line that says what it lacks here."""

import torch
from torch import nn
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from training.training_errors import TrainingError


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Let torch fuse the operations of a network, when it first runs; its weights keep their names.

    Raises:
        TrainingError: the fused operations are C++ on a CPU, and there is no compiler.
    """
    if device.type == "cpu":
        try:
            get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise TrainingError(
                "compile: torch.compile needs a C++ compiler here; install g++, or leave compile out of the "
                "recipe"
            ) from error
    network.compile()
