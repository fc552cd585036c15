"""Networks on the CPU by OpenVINO."""

from functools import cache
from typing import Any

import numpy as np

from inference.errors import DeviceMemoryError
from inference.runtime.backends import load_library
from inference.runtime.openvino_norm import with_whole_norms
from inference.runtime.out_of_memory import first_line, is_out_of_memory
from inference.runtime.precision import effective_precision
from inference.runtime.settings import Settings
from model.arrays import F32
from model.manifest.network import Precision


@cache
def _core() -> Any:  # noqa: ANN401 - OpenVINO is imported where it is used
    """The one `Core` of this process.

    Each installs a signal stack of its own, and several that are closed in another order than they were made
    leave a freed one active: a signal during the last write of a run was a segmentation fault.
    """
    return load_library("openvino").Core()


class OpenVinoSession:
    """A network on the CPU by OpenVINO. Compiled once; writes no cache and reports nothing."""

    def __init__(self, network: bytes, settings: Settings) -> None:
        core = _core()
        low = effective_precision("openvino", settings.precision) == "bf16"
        self.precision: Precision = "bf16" if low else "fp32"
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        }
        if settings.threads > 0:
            options["INFERENCE_NUM_THREADS"] = settings.threads
        graph = core.read_model(network)
        if graph.is_dynamic():
            graph.reshape(list(settings.input_shape))
        if low:
            with_whole_norms(graph)
        self._compiled: Any = core.compile_model(graph, "CPU", options)
        self._request: Any = self._compiled.create_infer_request()

    def run(self, window: F32) -> F32:
        """See `Session.run`."""
        try:
            self._request.infer({0: np.ascontiguousarray(window)}, share_inputs=True, share_outputs=True)
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceMemoryError(f"the processor's memory ran out ({first_line(error)})") from error
            raise
        logits: F32 = self._request.get_output_tensor(0).data
        return logits

    def close(self) -> None:
        """See `Session.close`."""
        self._request = self._compiled = None
