"""From a torch network to one ONNX file, refused unless onnxruntime computes what torch computes.

The graph computes in fp32 with a fixed window, or with any, norms as `exact_norm` says; weights are stored as
half floats, which halves the file. What is checked before a file counts as done:

1. torch with rounded weights against torch with the original ones: argmax (did rounding change anything?);
2. the file against torch with the same rounded weights: logits and argmax (is the translation right?);
3. for any window, the same on windows of other sizes: the exporter does not say when it takes a number that
   holds for one size only into the file, such as a shape that a network computes.

Shapes: windows (1, in_channels, z, y, x) float32; logits (1, channels, z, y, x) float32.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.export import Dim
from torch.onnx import OnnxExporterError

from model.arrays import F32, Zyx
from model.onnx_export.exact_norm import with_exact_norms
from model.onnx_export.half_precision import (
    store_weights_as_half,
    with_folded_batch_norm,
    with_rounded_weights,
)
from model.onnx_export.parity import (
    INPUT,
    OUTPUT,
    Parity,
    ParityError,
    Windows,
    compare,
    torch_predict,
    verify_onnx,
)

OPSET = 18
"""Group normalization of opset 21 has no CUDA kernel in onnxruntime; 18 to 20 decompose it."""
ROUNDING_AGREEMENT = 0.995
"""Smallest share of voxels with the same most probable channel, rounded weights against the original ones:
near-ties flip, a lost weight flips more."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OtherSizes:
    """Windows besides the one that a file is written for, in the network's own axis order."""

    multiple_of: Zyx
    """What every side is a multiple of."""
    windows: tuple[F32, ...]
    """Inputs of several sizes to compare on."""


def export_onnx(
    network: nn.Module,
    window_zyx: Zyx,
    path: Path,
    windows: Windows,
    in_channels: int = 1,
    others: OtherSizes | None = None,
    *,
    exact: bool = False,
) -> Parity:
    """Write a network to an ONNX file and prove that it is the same network.

    Args:
        network: a network whose evaluation output is one tensor of logits; left as it was.
        window_zyx: the only window that the file will accept unless there are `others`, in the network's own
            axis order.
        path: file to write.
        windows: inputs to compare on.
        in_channels: images per voxel.
        others: makes a file for windows of any size.
        exact: keep weights as they are instead of storing them as half floats.

    Returns:
        How closely onnxruntime and torch agree, on windows of all sizes.

    Raises:
        ParityError: they do not, or rounding the weights changes the output, or the network does not take
            windows of other sizes; nothing is left at `path`.
    """
    original = with_folded_batch_norm(network)
    rounded = original if exact else with_rounded_weights(original)
    windows = tuple(windows)
    try:
        logger.info("%s: torch's graph becomes ONNX", path.name)
        with _blaming_the_size(path, others):
            write_onnx(rounded, (1, in_channels, *window_zyx), path, others.multiple_of if others else None)
        if not exact:
            store_weights_as_half(path)
            _check_rounding(rounded, original, path, windows)
        logger.info("%s: comparing onnxruntime with torch", path.name)
        with _blaming_the_size(path, others):
            return verify_onnx(path, rounded, (*windows, *(others.windows if others else ())))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _check_rounding(rounded: nn.Module, original: nn.Module, path: Path, windows: Windows) -> None:
    logger.info("%s: comparing rounded weights with the original ones", path.name)
    rounding = compare(torch_predict(rounded), torch_predict(original), windows)
    if rounding.agreement < ROUNDING_AGREEMENT:
        raise ParityError(
            f"{path.name}: half-float weights change {1 - rounding.agreement:.2%} of voxels; not exported"
        )


@contextmanager
def _blaming_the_size(path: Path, others: OtherSizes | None) -> Iterator[None]:
    """Say of a network that fails on windows of several sizes that it is for one only.

    Raises:
        ParityError: instead of what torch or onnxruntime raise, where there are `others`.
    """
    try:
        yield
    except (ParityError, RuntimeError) as error:
        if others is None:
            raise
        sizes = ", ".join("×".join(map(str, window.shape[2:])) for window in others.windows)
        reason = " ".join(str(error).split())[:160]
        if isinstance(error, OnnxExporterError):
            reason = "torch's exporter cannot leave its sides open"
        raise ParityError(
            f"{path.name}: depends on the size of its window, tried {sizes} ({reason}); not exported for any "
            "window; leave out inference.any_window (training), --any-window (import)"
        ) from error


def write_onnx(
    network: nn.Module, shape: tuple[int, ...], path: Path, multiple_of: Zyx | None = None
) -> None:
    """Write a network's graph and weights for inputs of one shape, or of any.

    Nothing about the machine goes into the file.

    Args:
        network: in evaluation mode, on the CPU.
        shape: (batch, channels, *window) of the input.
        path: file to write.
        multiple_of: leaves the window's sides open, each a multiple of this.
    """
    open_sides = None
    if multiple_of is not None:
        # An example of its own: sides of 1 or equal ones would be taken for what is always so.
        shape = (*shape[:2], *(step * count for step, count in zip(multiple_of, (2, 3, 4), strict=True)))
        sides = [Dim(name, min=2) for name in ("first", "second", "third")]
        open_sides = ({2 + axis: step * sides[axis] for axis, step in enumerate(multiple_of)},)
    with _quiet_exporter():
        torch.onnx.export(
            network,
            (torch.zeros(shape),),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=open_sides,
        )
    model = onnx.load(path)
    _strip(model)
    with_exact_norms(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter: torchvision is missing, and it copies a deprecated class of its own."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        exporter.setLevel(level)


def _strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about the machine that it ran on: paths of source files, stack traces."""
    graph = model.graph
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
