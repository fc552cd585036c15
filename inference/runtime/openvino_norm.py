"""Instance norm in bf16: one node again, whatever an ONNX file makes it of.

Export takes large instance norms apart, so that fp32 sums are exact (`model.onnx_export.exact_norm`). In bf16
OpenVINO would round those sums to eight bits, where its own node adds up in fp32.
"""

from typing import Any

import numpy as np

from inference.runtime.backends import load_library

SPATIAL = (2, 3, 4)
SCALE, SHIFT, MEAN = 1, 2, 3
"""Inputs of a batch norm."""


def with_whole_norms(graph: Any) -> None:  # noqa: ANN401 - an openvino.Model, imported lazily
    """Make one node again, in place, of each norm by moments that are taken from what it normalizes."""
    operators = load_library("openvino").opset15
    for norm in graph.get_ordered_ops():
        if norm.get_type_name() != "BatchNormInference" or not _depends(norm, MEAN):
            continue
        image = norm.input_value(0)
        sides = np.array([1, -1, 1, 1, 1], np.int64)
        scale, shift = (
            operators.reshape(norm.input_value(index), sides, special_zero=False) for index in (SCALE, SHIFT)
        )
        epsilon = float(norm.get_attributes()["epsilon"])
        whole = operators.mvn(image, list(SPATIAL), True, epsilon, "INSIDE_SQRT")
        whole = operators.add(operators.multiply(whole, scale), shift)
        whole.set_friendly_name(norm.get_friendly_name())
        for target in norm.output(0).get_target_inputs():
            target.replace_source_output(whole.output(0))


def _depends(norm: Any, on: int) -> bool:  # noqa: ANN401
    """Whether one input of a node is made from what its first input holds."""
    source = norm.input_value(0).get_node().get_friendly_name()
    todo, seen = [norm.input_value(on).get_node()], set[str]()
    while todo:
        node = todo.pop()
        name = node.get_friendly_name()
        if name == source:
            return True
        if name not in seen:
            seen.add(name)
            todo += [value.get_node() for value in node.input_values()]
    return False
