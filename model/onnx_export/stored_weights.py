"""The weights of an ONNX file by the names they had in torch, to go on training with."""

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from model.arrays import F32
from model.onnx_export.half_precision import HALF
from model.onnx_header import NO_MODEL, OnnxFileError, read_onnx_header


def read_weights(path: Path) -> dict[str, F32]:
    """The weights of a file that this package exported, in fp32 or fp16, by their names in torch.

    Constants of the graph that are no weights are left out: names in torch have a dot, theirs have none.

    Raises:
        OnnxFileError: it is no ONNX file, or a damaged one, or its weights lie in another file.
        OSError: it cannot be read.
    """
    if read_onnx_header(path).external_data:
        raise OnnxFileError("keeps its weights in another file, as no bundle of ours does")
    try:
        arrays = {weight.name: numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer}
    except (DecodeError, TypeError, ValueError) as error:
        raise OnnxFileError(NO_MODEL) from error
    weights = {}
    for stored, values in arrays.items():
        name = stored.removesuffix(HALF)
        if "." in name and values.dtype in (np.float16, np.float32):
            weights[name] = values.astype(np.float32)
    return weights
