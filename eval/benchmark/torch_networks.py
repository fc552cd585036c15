"""Networks of MONAI as the plain pipeline stores them: weights as safetensors, arguments as metadata."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from monai.networks.nets import DynUNet, SegResNetDS
from torch import nn

KINDS = {"SegResNetDS": SegResNetDS, "DynUNet": DynUNet}


def save_network(path: Path, network: nn.Module, arguments: dict[str, Any]) -> None:
    """Write a network; `arguments` are those with which its class was called."""
    safetensors.torch.save_model(
        network, str(path), {"kind": type(network).__name__, "arguments": json.dumps(arguments)}
    )


def load_network(path: Path) -> nn.Module:
    """Read a network that `save_network` wrote; it is in evaluation mode."""
    with safetensors.safe_open(path, framework="pt") as stream:
        metadata = stream.metadata()
    network: nn.Module = KINDS[metadata["kind"]](**json.loads(metadata["arguments"]))
    safetensors.torch.load_model(network, str(path))
    return network.eval()
