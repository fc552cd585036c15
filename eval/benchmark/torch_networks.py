"""Networks of MONAI and how they are stored for the plain pipeline: weights as safetensors, with what builds the network as metadata."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from monai.networks.nets import DynUNet, SegResNetDS
from torch import nn

KINDS = {"SegResNetDS": SegResNetDS, "DynUNet": DynUNet}


def save_network(path: Path, network: nn.Module, arguments: dict[str, Any]) -> None:
    """Write a network; `arguments` are those of its class."""
    safetensors.torch.save_model(
        network, str(path), {"kind": type(network).__name__, "arguments": json.dumps(arguments)}
    )


def load_network(path: Path) -> nn.Module:
    """The network that `save_network` wrote, in evaluation."""
    with safetensors.safe_open(path, framework="pt") as stream:
        metadata = stream.metadata()
    network: nn.Module = KINDS[metadata["kind"]](**json.loads(metadata["arguments"]))
    safetensors.torch.load_model(network, str(path))
    return network.eval()
