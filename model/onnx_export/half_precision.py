"""Half floats: weights are stored so, and networks computed so where that changes next to nothing.

`store_weights_as_half` halves a file that computes in fp32. `export_fp16` writes a second file that computes
in fp16, for GPUs. `bf16_is_safe` says whether a CPU may compute in bf16, which needs no file of its own.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from model.arrays import F32
from model.networks.layers import ConvNorm
from model.networks.native_bf16 import computes_bf16
from model.onnx_export.exact_norm import with_whole_norms
from model.onnx_export.parity import (
    INPUT,
    OUTPUT,
    ParityError,
    Predict,
    Windows,
    compare,
    onnxruntime_predict,
    torch_predict,
)

BF16_AGREEMENT = 0.99
"""Smallest share of voxels with the same most probable channel, computed in bf16 against fp32."""
FP16_AGREEMENT = 0.99
"""The same, computed in fp16 against fp32."""
SMALLEST_HALF = 256
"""Weights with fewer values than this (norms, biases) stay fp32: they take no room and cancel less."""
HALF = "_half"
"""Ends the name of a weight that is stored as half floats."""


def bf16_is_safe(network: nn.Module, windows: Windows) -> bool:
    """Whether computing in bf16 leaves the most probable channel of nearly all voxels as it is in fp32."""
    network = deepcopy(network).cpu().eval()
    fp32 = torch_predict(network)

    def bf16(window: F32) -> F32:
        mode = nullcontext() if computes_bf16() else _RoundedConvolutions(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16), mode:
            return fp32(window)

    return compare(bf16, fp32, windows).agreement >= BF16_AGREEMENT


def export_fp16(network: nn.Module, path: Path, fp16: Path, windows: Windows) -> bool:
    """Write a second file of an exported network that computes in fp16, unless that changes the result.

    torch computes in half floats what the file will, since onnxruntime has no such kernels for the CPU: it
    computes the file's graph in fp32, which shows that the graph is right and not that half floats suffice.

    Args:
        network: what was exported; left as it was.
        path: its file (`model.onnx_export.graph.export_onnx`).
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


CONVOLUTIONS = frozenset({torch.conv2d, torch.conv3d, torch.conv_transpose2d, torch.conv_transpose3d})


class _RoundedConvolutions(TorchFunctionMode):
    """Convolutions take and give values of a narrow type and add up in fp32, as processors that have it do.

    torch's own code for processors that have not takes 35 times as long as fp32.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - of any function
        del types
        if func not in CONVOLUTIONS:
            return self.other(func, args, kwargs or {})
        rounded, named = tree_map_only(
            Tensor, lambda tensor: tensor.to(self._dtype).float(), (args, kwargs or {})
        )
        with torch.autocast("cpu", enabled=False):
            return func(*rounded, **named).to(self._dtype)

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """What is no convolution."""
        return func(*args, **kwargs)


class _HalfWhereItCan(_RoundedConvolutions):
    """Functions that torch has no half-float code for on the CPU are computed in fp32 and rounded, too."""

    def __init__(self) -> None:
        super().__init__(torch.float16)

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """What is no convolution."""
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            if "'Half'" not in str(error):
                raise
        wide, named = tree_map_only(Tensor, lambda tensor: tensor.float(), (args, kwargs))
        return tree_map_only(Tensor, lambda tensor: tensor.half(), func(*wide, **named))


def _torch_half_predict(network: nn.Module) -> Predict:
    half = deepcopy(network).cpu().eval().half()

    def predict(window: F32) -> F32:
        with torch.inference_mode(), _HalfWhereItCan():
            logits: F32 = half(torch.from_numpy(window).half()).float().numpy()
        return logits

    return predict


def with_folded_batch_norm(network: nn.Module) -> nn.Module:
    """A copy for evaluation on the CPU, in which convolutions have taken up the batch norm behind them.

    The exporter would fold them after weights were rounded, so that they would be rounded twice.
    """
    folded = deepcopy(network).cpu().eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm3d):
            module.convolution = fuse_conv_bn_eval(module.convolution, module.norm)
            module.norm = nn.Identity()
    return folded


def with_rounded_weights(network: nn.Module) -> nn.Module:
    """A copy of a network whose large weights are rounded to what half floats hold.

    Raises:
        ParityError: a weight is too large for them.
    """
    rounded = deepcopy(network)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            if parameter.numel() >= SMALLEST_HALF:
                parameter.copy_(parameter.half().float())
                if not torch.isfinite(parameter).all():
                    raise ParityError(f"{name}: holds weights that half floats cannot; not exported")
    return rounded


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
        half = f"{weight.name}{HALF}"
        kept.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(
            helper.make_node("Cast", [half], [weight.name], f"{weight.name}_cast", to=TensorProto.FLOAT)
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
    with_whole_norms(model)  # Sums of squares would not fit into half floats.
    factors = {name for node in model.graph.node if node.op_type == "Resize" for name in node.input[1:3]}
    nodes = [
        helper.make_node("Cast", [INPUT], [f"{INPUT}_half"], "input_cast", to=TensorProto.FLOAT16),
        *_halved_nodes(model, factors),
        helper.make_node("Cast", [f"{OUTPUT}_half"], [OUTPUT], "output_cast", to=TensorProto.FLOAT),
    ]
    for weight in model.graph.initializer:
        if weight.name not in factors:
            _halve(weight)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    fp16.write_bytes(model.SerializeToString(deterministic=True))


def _halved_nodes(model: onnx.ModelProto, factors: set[str]) -> list[onnx.NodeProto]:
    """The graph's nodes between the two casts, reading and writing half floats."""
    stored = {weight.name for weight in model.graph.initializer if weight.data_type == TensorProto.FLOAT16}
    renamed = {INPUT: f"{INPUT}_half", OUTPUT: f"{OUTPUT}_half"}
    nodes = []
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
    return nodes


def _halve(tensor: onnx.TensorProto) -> None:
    """Store an fp32 tensor as half floats.

    Those that are too large become infinite, and show in the comparison.
    """
    if tensor.data_type == TensorProto.FLOAT:
        with np.errstate(over="ignore"):
            halved = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halved, tensor.name))
