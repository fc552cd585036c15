"""From a torch network to one self-contained ONNX file, refused unless onnxruntime computes what torch computes.

The graph computes in fp32 with a fixed window; weights are stored as half floats, which halves the file. Two
things are checked before a file counts as done:

1. the file against torch with the same rounded weights: logits and argmax (is the translation right?);
2. torch with rounded weights against torch with the original ones: argmax (did rounding change anything?).

`export_fp16` writes beside it a file that computes in fp16, for GPUs, where that changes next to nothing.

Shapes: windows (1, in_channels, z, y, x) float32; logits (1, channels, z, y, x) float32.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage
from torch import nn

from model.manifest import Zyx

OPSET = 18
"""Group normalization of opset 21 has no CUDA kernel in onnxruntime; 18 to 20 decompose it."""
INPUT, OUTPUT = "image", "logits"
LOGIT_TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit or to 1."""
ARGMAX_AGREEMENT = 0.999
"""Smallest share of voxels with the same most probable channel, onnxruntime against torch."""
ROUNDING_AGREEMENT = 0.995
"""The same, rounded weights against the original ones: near-ties flip, a lost weight flips more."""
BF16_AGREEMENT = 0.99
"""The same, computed in bf16 against fp32."""
FP16_AGREEMENT = 0.99
"""The same, computed in fp16 against fp32."""
SMALLEST_HALF = 256
"""Weights with fewer values than this (norms, biases) stay fp32: they take no room and cancel less."""

Windows = Iterable[NDArray[np.float32]]
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class ParityError(ValueError):
    """An exported network does not compute what the original computes. One line; the file was removed."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How closely two ways to compute a network agree, over all windows compared."""

    largest_difference: float
    """Of any logit, relative to the largest logit or to 1."""
    agreement: float
    """Share of voxels whose most probable channel is the same, 0 to 1; of the worst window."""


def export_onnx(
    network: nn.Module, window_zyx: Zyx, path: Path, windows: Windows, in_channels: int = 1
) -> Parity:
    """Write a network to an ONNX file and prove that it is the same network.

    Args:
        network: a network whose evaluation output is one tensor of logits; left as it was.
        window_zyx: the only window that the file will accept.
        path: file to write.
        windows: inputs to compare on.
        in_channels: images per voxel.

    Returns:
        How closely onnxruntime and torch agree.

    Raises:
        ParityError: they do not, or rounding the weights changes the output; nothing is left at `path`.
    """
    original = deepcopy(network).cpu().eval()
    rounded = _with_rounded_weights(original)
    windows = tuple(windows)
    try:
        _write(rounded, (1, in_channels, *window_zyx), path)
        store_weights_as_half(path)
        rounding = compare(torch_predict(rounded), torch_predict(original), windows)
        if rounding.agreement < ROUNDING_AGREEMENT:
            raise ParityError(
                f"{path.name}: half-float weights change {1 - rounding.agreement:.2%} of voxels; not exported"
            )
        return verify_onnx(path, rounded, windows)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def verify_onnx(path: Path, network: nn.Module, windows: Windows) -> Parity:
    """Compare an ONNX file under onnxruntime with a network under torch.

    Raises:
        ParityError: logits or most probable channels differ by more than the tolerances of this module.
    """
    parity = compare(onnxruntime_predict(path), torch_predict(network), windows)
    # Written so that NaN fails.
    if not (parity.largest_difference <= LOGIT_TOLERANCE and parity.agreement >= ARGMAX_AGREEMENT):
        raise ParityError(
            f"{path.name}: onnxruntime and torch disagree (logits by {parity.largest_difference:.2g}, "
            f"{1 - parity.agreement:.2%} of voxels get another channel); not exported"
        )
    return parity


def compare(one: Predict, other: Predict, windows: Windows) -> Parity:
    """How closely two ways to compute logits agree over some windows.

    Raises:
        ValueError: there is no window.
    """
    differences, agreements = [], []
    for window in windows:
        a, b = one(window), other(window)
        if a.shape != b.shape:
            return Parity(largest_difference=float("inf"), agreement=0.0)
        with np.errstate(invalid="ignore"):
            differences.append(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())))
        agreements.append(float((a.argmax(1) == b.argmax(1)).mean()))
    if not agreements:
        raise ValueError("no window to compare on")
    # np.max and not max: a NaN anywhere must come out.
    return Parity(largest_difference=float(np.max(differences)), agreement=float(np.min(agreements)))


def bf16_is_safe(network: nn.Module, windows: Windows) -> bool:
    """Whether computing in bf16 leaves the most probable channel of nearly all voxels as it is in fp32."""
    network = deepcopy(network).cpu().eval()
    fp32 = torch_predict(network)

    def bf16(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.autocast("cpu", torch.bfloat16):
            return fp32(window)

    return compare(bf16, fp32, windows).agreement >= BF16_AGREEMENT


def export_fp16(network: nn.Module, path: Path, fp16: Path, windows: Windows) -> bool:
    """Write a second file of an exported network that computes in fp16, for GPUs, unless computing so changes the result.

    torch computes in half floats what the file will, since onnxruntime has no such kernels for the CPU: it
    computes the file's graph in fp32, which shows that the graph is right and not that half floats suffice.

    Args:
        network: what was exported; left as it was.
        path: its file (`export_onnx`).
        fp16: file to write.
        windows: inputs to compare on.

    Returns:
        Whether the file was written.
    """
    windows = tuple(windows)
    fp32 = torch_predict(deepcopy(network).cpu().eval())
    if compare(_torch_half_predict(network), fp32, windows).agreement < FP16_AGREEMENT:
        return False
    write_fp16(path, fp16)
    if compare(onnxruntime_predict(fp16), fp32, windows).agreement < FP16_AGREEMENT:
        fp16.unlink()
        return False
    return True


def _torch_half_predict(network: nn.Module) -> Predict:
    half = deepcopy(network).cpu().eval().half()

    def predict(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = half(torch.from_numpy(window).half()).float().numpy()
        return logits

    return predict


def synthetic_windows(
    window_zyx: Zyx, in_channels: int = 1, seed: int = 0
) -> tuple[NDArray[np.float32], ...]:
    """Windows to compare on when no image is at hand: noise, and something like a body with organs in air."""
    rng = np.random.default_rng(seed)
    shape = (1, in_channels, *window_zyx)
    noise = rng.random(shape, np.float32)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in window_zyx), indexing="ij")
    body = (y / 0.7) ** 2 + (x / 0.9) ** 2 + 0 * z < 1
    smooth = ndimage.gaussian_filter(
        rng.standard_normal(window_zyx, np.float32), [max(1, side / 12) for side in window_zyx]
    )
    organs = 0.5 + 0.1 * np.round(2 * smooth / smooth.std())
    image = np.where(body, np.clip(organs, 0, 1), 0) + 0.02 * rng.standard_normal(window_zyx, np.float32)
    bodylike = np.tile(np.clip(image, 0, 1).astype(np.float32), (1, in_channels, 1, 1, 1))
    return noise, bodylike


def torch_predict(network: nn.Module) -> Predict:
    """Logits of a window, computed by torch."""

    def predict(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = network(torch.from_numpy(window)).float().numpy()
        return logits

    return predict


def onnxruntime_predict(path: Path) -> Predict:
    """Logits of a window, computed by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def predict(window: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run([OUTPUT], {INPUT: window})[0]
        return logits

    return predict


def store_weights_as_half(path: Path) -> None:
    """Turn the file's large fp32 weights into half floats, each followed by a cast to fp32.

    The graph computes as before.
    """
    model = onnx.load(path)
    kept, casts = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_HALF:
            kept.append(weight)
            continue
        kept.append(numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half"))
        casts.append(
            helper.make_node(
                "Cast", [f"{weight.name}_half"], [weight.name], f"{weight.name}_cast", to=TensorProto.FLOAT
            )
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_fp16(path: Path, fp16: Path) -> None:
    """Write the graph of a file anew so that it computes in half floats; its input and output stay fp32.

    The factors by which `Resize` enlarges stay fp32, as ONNX asks.
    """
    model = onnx.load(path)
    stored = {weight.name for weight in model.graph.initializer if weight.data_type == TensorProto.FLOAT16}
    factors = {name for node in model.graph.node if node.op_type == "Resize" for name in node.input[1:3]}
    renamed = {INPUT: f"{INPUT}_half", OUTPUT: f"{OUTPUT}_half"}
    nodes = [helper.make_node("Cast", [INPUT], [renamed[INPUT]], "input_cast", to=TensorProto.FLOAT16)]
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:  # of weights that are halves already
            renamed[node.output[0]] = node.input[0]
            continue
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        for attribute in node.attribute:
            if attribute.name == "value" and node.output[0] not in factors:
                _halve(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        nodes.append(node)
    nodes.append(helper.make_node("Cast", [renamed[OUTPUT]], [OUTPUT], "output_cast", to=TensorProto.FLOAT))
    for weight in model.graph.initializer:
        if weight.name not in factors:
            _halve(weight)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    fp16.write_bytes(model.SerializeToString(deterministic=True))


def _halve(tensor: onnx.TensorProto) -> None:
    """Store an fp32 tensor as half floats.

    Those that are too large become infinite, and show in the comparison.
    """
    if tensor.data_type == TensorProto.FLOAT:
        with np.errstate(over="ignore"):
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
            )


def _write(network: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    with _quiet_exporter():
        torch.onnx.export(
            network, (torch.zeros(shape),), path, input_names=[INPUT], output_names=[OUTPUT],
            opset_version=OPSET, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
    model = onnx.load(path)
    _strip(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's remarks on itself: that torchvision is missing, that it copies its own deprecated class."""
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


def _with_rounded_weights(network: nn.Module) -> nn.Module:
    rounded = deepcopy(network)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            if parameter.numel() >= SMALLEST_HALF:
                parameter.copy_(parameter.half().float())
                if not torch.isfinite(parameter).all():
                    raise ParityError(f"{name}: holds weights that half floats cannot; not exported")
    return rounded
