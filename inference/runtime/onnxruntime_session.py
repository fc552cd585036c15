"""Networks on the CPU or on CUDA by onnxruntime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import DeviceError, DeviceMemoryError
from inference.runtime.backends import load_library
from inference.runtime.out_of_memory import first_line, is_out_of_memory
from inference.runtime.settings import Settings
from model.arrays import F32


class OnnxRuntimeSession:
    """A network on the CPU or on CUDA by onnxruntime."""

    def __init__(self, network: bytes, settings: Settings, *, cuda: bool) -> None:
        onnxruntime = load_library("cuda" if cuda else "onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if settings.threads > 0:
            options.intra_op_num_threads = settings.threads
        providers: list[Any] = ["CPUExecutionProvider"]
        if cuda:
            providers.insert(0, ("CUDAExecutionProvider", cuda_options(settings)))
        self._session: Any = onnxruntime.InferenceSession(network, options, providers=providers)
        # onnxruntime goes on with the CPU when CUDA's libraries do not load; that must not pass for a GPU.
        if cuda and "CUDAExecutionProvider" not in self._session.get_providers():
            raise DeviceError(
                "onnxruntime could not load CUDA: its libraries or the driver do not fit this onnxruntime-gpu"
            )
        self._buffers: Any = Buffers(
            self._session,
            "cuda" if cuda else "cpu",
            settings.input_shape,
            device_id=settings.gpu if cuda else 0,
        )

    def run(self, window: F32) -> F32:
        """See `Session.run`."""
        try:
            return np.asarray(self._buffers.run(window), np.float32)
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceMemoryError(f"the device ran out of memory ({first_line(error)})") from error
            raise

    def close(self) -> None:
        """See `Session.close`."""
        self._buffers = self._session = None


class Buffers:
    """Input and output that stay on the device, so that nothing is allocated from window to window."""

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - an onnxruntime.InferenceSession, imported lazily
        device: str,
        shape: tuple[int, ...],
        *,
        device_id: int,
    ) -> None:
        from onnxruntime import OrtValue

        self._session = session
        self._binding = session.io_binding()
        given, result = session.get_inputs()[0], session.get_outputs()[0]
        self._dtype = np.float16 if given.type == "tensor(float16)" else np.float32
        result_dtype = np.float16 if result.type == "tensor(float16)" else np.float32
        self._input = OrtValue.ortvalue_from_shape_and_type(shape, self._dtype, device, device_id)
        self._output = OrtValue.ortvalue_from_shape_and_type(
            _closed(result.shape, shape), result_dtype, device, device_id
        )
        self._binding.bind_ortvalue_input(given.name, self._input)
        self._binding.bind_ortvalue_output(result.name, self._output)

    def run(self, window: F32) -> NDArray[Any]:
        """Logits of a window, on the host; on the CPU overwritten by the next run."""
        self._input.update_inplace(np.ascontiguousarray(window, self._dtype))
        self._session.run_with_iobinding(self._binding)
        logits: NDArray[Any] = self._output.numpy()
        return logits


def _closed(sides: list[int | str | None], window: tuple[int, ...]) -> list[int]:
    """An output's shape, with the window's sides where the file leaves them open."""
    return [
        side if isinstance(side, int) else of_window for side, of_window in zip(sides, window, strict=True)
    ]


def cuda_options(settings: Settings) -> dict[str, str]:
    """Settings of onnxruntime's CUDA provider for a cold start: grow by what is asked for, tune nothing."""
    options = {
        "device_id": str(settings.gpu),
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if settings.gpu_limit_mb:
        options["gpu_mem_limit"] = str(settings.gpu_limit_mb << 20)
    if settings.tight:
        options["cudnn_conv_use_max_workspace"] = "0"
    if settings.precision == "fp32":
        options["use_tf32"] = "0"  # On by default, it rounds what convolutions multiply to 10 bits.
    return options
