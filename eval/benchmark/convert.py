"""Convert a bundle's networks to torch, for the plain pipeline.

    python -m eval.benchmark.convert --bundle DIR --output DIR

ONNX files of torch's exporter keep the names of the state dict; the export of this project stores large
weights as half floats named `NAME_half`. Layer sizes follow from the shapes of the weights:

| names | network |
|---|---|
| `encoder.conv_init.…`, `up_layers.…` | MONAI `SegResNetDS`, instance norm |
| `encoder.0.0.…`, `decoder.0.up.…` | nnU-Net's plain U-Net, two 3×3×3 convolutions a level: MONAI `DynUNet` |

`DynUNet` has no bias where an instance norm follows, which takes any constant away again.

A network is written, as MEMBER.safetensors, only if it gives onnxruntime's logits.
"""

import argparse
import re
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
LAYER = re.compile(r"(?:encoder\.(\d+)|decoder\.(\d+)\.block)\.([01])\.(convolution|norm)\.(weight|bias)")
"""A convolution or norm of a plain U-Net: encoder level, decoder level, first or second, what, which."""
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
    kind, arguments, weights = describe(read_weights(source), source)
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


def describe(weights: Weights, path: Path) -> tuple[str, dict[str, Any], Weights]:
    """Class of the network that the weights belong to, the arguments that build it, and its own names.

    Raises:
        JudgingError: it is none of the known networks.
    """
    if "encoder.conv_init.weight" in weights:
        return "SegResNetDS", _segresnet(weights), weights
    if "decoder.0.up.weight" in weights and "encoder.0.1.convolution.weight" in weights:
        return "DynUNet", _plain_unet(weights), _as_dynunet(weights, path)
    raise JudgingError(
        f"{path}: holds neither a SegResNet of MONAI nor a plain U-Net of nnU-Net, exported by torch; the "
        "plain pipeline knows no other"
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
    """Arguments of `DynUNet`; strides are the kernel sizes of the transposed convolutions."""
    levels = _count(weights, "decoder.{}.up.weight")
    up = [weights[f"decoder.{level}.up.weight"] for level in range(levels)]
    strides = [list(weight.shape[2:]) for weight in up]
    return {
        "spatial_dims": 3,
        "in_channels": weights["encoder.0.0.convolution.weight"].shape[1],
        "out_channels": weights["heads.0.weight"].shape[0],
        "kernel_size": [3] * (levels + 1),
        "strides": [1, *strides],
        "upsample_kernel_size": strides,
        "filters": [weight.shape[1] for weight in up] + [up[-1].shape[0]],
        "norm_name": ["INSTANCE", {"affine": True}],
        "trans_bias": True,
    }


def _as_dynunet(weights: Weights, path: Path) -> dict[str, Tensor]:
    """Weights of a plain U-Net under the names of `DynUNet`, whose decoder begins at the bottom.

    Raises:
        JudgingError: a weight has no place there.
    """
    lowest = _count(weights, "decoder.{}.up.weight")
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if found := LAYER.fullmatch(name):
            encoder, decoder, index, what, which = found.groups()
            if what == "convolution" and which == "bias":
                continue
            number = int(index) + 1
            layer = f"norm{number}.{which}" if what == "norm" else f"conv{number}.conv.{which}"
            named[f"{_block(encoder, decoder, lowest)}.{layer}"] = tensor
        elif found := re.fullmatch(r"decoder\.(\d+)\.up\.(weight|bias)", name):
            named[f"upsamples.{lowest - 1 - int(found[1])}.transp_conv.conv.{found[2]}"] = tensor
        elif name.startswith("heads.0."):
            named[f"output_block.conv.conv.{name.removeprefix('heads.0.')}"] = tensor
        else:
            shape = tuple(tensor.shape)
            raise JudgingError(f"{path}: {name} of shape {shape} has no place in DynUNet")
    return named


def _block(encoder: str | None, decoder: str | None, lowest: int) -> str:
    if decoder is not None:
        return f"upsamples.{lowest - 1 - int(decoder)}.conv_block"
    level = int(encoder or 0)
    return "input_block" if level == 0 else "bottleneck" if level == lowest else f"downsamples.{level - 1}"


def _count(weights: Weights, pattern: str) -> int:
    count = 0
    while pattern.format(count) in weights:
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
