"""Convert a bundle's networks to torch, for the plain pipeline.

    python -m eval.benchmark.convert --bundle DIR --output DIR

ONNX files of torch's exporter keep the names of the state dict; the export of this project stores large
weights as half floats named `NAME_half`. Layer sizes follow from the shapes of the weights:

| names | network |
|---|---|
| `encoder.…`, `up_layers.…` | MONAI `SegResNetDS`, instance norm |
| `skip_layers.…`, `output_block.…` | MONAI `DynUNet`, instance norm, kernels 3×3×3 (nnU-Net's plain U-Net) |

A network is written, as MEMBER.safetensors, only if it gives onnxruntime's logits.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from eval.benchmark.bundle_facts import read_bundle
from eval.benchmark.torch_networks import KINDS, save_network
from eval.eval_errors import JudgingError
from model.arrays import Zyx

HALF = "_half"
UP = "upsample.transp_conv.conv.weight"
SAME = 1e-3
"""Largest accepted difference of a logit from onnxruntime's, relative to the largest logit or to 1."""
Weights = Mapping[str, Tensor]


def main(argv: Sequence[str] | None = None) -> int:
    """Convert every member of a bundle; the exit code is 0, or 2 if one cannot be converted."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.benchmark.convert", description="Convert a bundle's networks to torch."
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args(argv)
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        for member in read_bundle(arguments.bundle).members:
            difference = convert(
                member.path, member.window_zyx, arguments.output / f"{member.path.stem}.safetensors"
            )
            sys.stdout.write(f"{member.path.name}: torch's logits within {difference:.1e} of onnxruntime's\n")
    except JudgingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def convert(source: Path, window_zyx: Zyx, target: Path) -> float:
    """Convert one network and write it; returns the largest difference of a logit from onnxruntime's.

    Raises:
        JudgingError: it is none of the known networks, a weight is missing or left over, or the logits
            differ.
    """
    weights = read_weights(source)
    kind, arguments = describe(weights, source)
    network: nn.Module = KINDS[kind](**arguments).eval()
    fill(network, weights, source)
    difference = largest_difference(network, source, window_zyx)
    if not difference <= SAME:
        raise JudgingError(
            f"{source}: torch's logits differ from onnxruntime's by {difference:.2g}; "
            "this is a fault of the conversion"
        )
    save_network(target, network, arguments)
    return difference


def read_weights(path: Path) -> dict[str, Tensor]:
    """Name in the state dict to weights in fp32, for all weights of an ONNX file.

    Raises:
        JudgingError: the file cannot be read.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf raises exceptions of its own
        raise JudgingError(f"{path}: cannot be read as ONNX ({error})") from error
    arrays = {
        weight.name.removesuffix(HALF): numpy_helper.to_array(weight) for weight in model.graph.initializer
    }
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items() if "." in name}


def describe(weights: Weights, path: Path) -> tuple[str, dict[str, Any]]:
    """Class of the network that the weights belong to, and the arguments that build it.

    Raises:
        JudgingError: it is none of the known networks.
    """
    if "encoder.conv_init.weight" in weights:
        return "SegResNetDS", _segresnet(weights)
    if _chain(0) + UP in weights:
        return "DynUNet", _plain_unet(weights)
    raise JudgingError(
        f"{path}: holds neither a SegResNet nor a plain U-Net of MONAI, exported by torch; the plain "
        "pipeline knows no other"
    )


def fill(network: nn.Module, weights: Weights, path: Path) -> None:
    """Copy weights into a network by name; a module with two names may be given by either.

    Raises:
        JudgingError: a weight has no place in the network, or is missing.
    """
    names = dict(network.named_parameters(remove_duplicate=False))
    filled = set()
    with torch.no_grad():
        for name, tensor in weights.items():
            if name not in names or names[name].shape != tensor.shape:
                raise JudgingError(
                    f"{path}: {name} of shape {tuple(tensor.shape)} has no place in {type(network).__name__}"
                )
            names[name].copy_(tensor)
            filled.add(id(names[name]))
    missing = next((name for name, parameter in names.items() if id(parameter) not in filled), None)
    if missing:
        raise JudgingError(f"{path}: lacks {missing} of {type(network).__name__}")


def largest_difference(network: nn.Module, path: Path, window_zyx: Zyx, seed: int = 0) -> float:
    """Largest difference of a logit between torch and onnxruntime, for one window of noise.

    It is relative to the largest logit, or to 1 if that is larger.
    """
    window = np.random.default_rng(seed).random((1, 1, *window_zyx), np.float32)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    expected = np.asarray(session.run(None, {session.get_inputs()[0].name: window})[0])
    with torch.inference_mode():
        found = network(torch.from_numpy(window)).numpy()
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def _segresnet(weights: Weights) -> dict[str, Any]:
    first = weights["encoder.conv_init.weight"]
    levels = _count(weights, "encoder.layers.{}.blocks.0.conv1.weight")
    return {
        "spatial_dims": 3,
        "init_filters": first.shape[0],
        "in_channels": first.shape[1],
        "out_channels": weights[f"up_layers.{levels - 2}.head.weight"].shape[0],
        "norm": "instance",
        "blocks_down": [
            _count(weights, f"encoder.layers.{level}.blocks.{{}}.conv1.weight") for level in range(levels)
        ],
        "dsdepth": 1,
    }


def _plain_unet(weights: Weights) -> dict[str, Any]:
    """Arguments of `DynUNet`, whose levels are nested as `next_layer`.

    Strides are the kernel sizes of the transposed convolutions.
    """
    levels = 0
    while _chain(levels) + UP in weights:
        levels += 1
    up = [weights[_chain(level) + UP] for level in range(levels)]
    strides = [list(weight.shape[2:]) for weight in up]
    return {
        "spatial_dims": 3,
        "in_channels": weights[_chain(0) + "downsample.conv1.conv.weight"].shape[1],
        "out_channels": weights["output_block.conv.conv.weight"].shape[0],
        "kernel_size": [3] * (levels + 1),
        "strides": [1, *strides],
        "upsample_kernel_size": strides,
        "filters": [weight.shape[1] for weight in up] + [up[-1].shape[0]],
        "norm_name": ["INSTANCE", {"affine": True}],
    }


def _chain(level: int) -> str:
    return "skip_layers." + "next_layer." * level


def _count(weights: Weights, pattern: str) -> int:
    count = 0
    while pattern.format(count) in weights:
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
