"""Running a network: one small interface, and OpenVINO and onnxruntime behind it.

| backend | device | precision |
|---|---|---|
| `openvino` | CPU | bf16 where the processor computes in it and the manifest allows it, else fp32 |
| `onnxruntime` | CPU | fp32; the reference |
| `cuda` | NVIDIA GPU through onnxruntime-gpu | that of the ONNX file (fp32, or fp16 weights) |

The libraries are imported when a session is opened, since they are the slowest part of a cold start.
"""

import ctypes
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.errors import DeviceError

F32 = NDArray[np.float32]
Backend = Literal["openvino", "onnxruntime", "cuda"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]


class Session(Protocol):
    """A network that is loaded and ready. Not safe to use from two threads at once."""

    def run(self, window: F32) -> F32:
        """Logits (1, channels, z, y, x) of one window (1, 1, z, y, x), both in the network's own axis order."""
        ...

    def close(self) -> None:
        """Give back the memory of the network; `run` must not be called any more."""
        ...


def select_backend(device: Device | Backend) -> Backend:
    """The backend for a device that the user asked for; a backend's own name stands for itself.

    `auto` is CUDA if onnxruntime-gpu is installed and the driver shows a GPU, else the CPU.

    Raises:
        DeviceError: `cuda` was asked for and there is no GPU or no onnxruntime-gpu.
    """
    if device == "cuda":
        if reason := _why_no_cuda():
            raise DeviceError(f"--device cuda: {reason}")
        return "cuda"
    if device == "openvino" or device == "onnxruntime":
        return device
    if device == "auto" and not _why_no_cuda():
        return "cuda"
    return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"


def open_session(path: Path, backend: Backend, *, threads: int, precision: Precision = "fp32") -> Session:
    """Load an ONNX file.

    Args:
        path: the ONNX file, already verified.
        backend: see `select_backend`.
        threads: CPU threads; 0 leaves the number to the library.
        precision: lowest precision that the result allows (`Network.precision`).

    Raises:
        DeviceError: the backend cannot run here, or cannot load the file.
    """
    try:
        if backend == "openvino":
            return OpenVinoSession(path, threads=threads, precision=precision)
        return OnnxRuntimeSession(path, threads=threads, cuda=backend == "cuda")
    except DeviceError:
        raise
    except Exception as error:  # The libraries raise types of their own, which cannot be named without importing them.
        raise DeviceError(f"{path.name}: {backend} cannot load it ({_first_line(error)})") from error


class OpenVinoSession:
    """A network on the CPU by OpenVINO. Compiled once; writes no cache and reports nothing."""

    def __init__(self, path: Path, *, threads: int, precision: Precision) -> None:
        core = _import_openvino().Core()
        low = precision == "bf16" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision: Precision = "bf16" if low else "fp32"
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        }
        if threads > 0:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._compiled: Any = core.compile_model(core.read_model(str(path)), "CPU", settings)
        self._request: Any = self._compiled.create_infer_request()

    def run(self, window: F32) -> F32:
        """See `Session.run`. The array returned is overwritten by the next call."""
        self._request.infer({0: np.ascontiguousarray(window)}, share_inputs=True)
        logits: F32 = self._request.get_output_tensor(0).data
        return logits

    def close(self) -> None:
        """See `Session.close`."""
        self._request = self._compiled = None


class OnnxRuntimeSession:
    """A network on the CPU or on CUDA by onnxruntime."""

    def __init__(self, path: Path, *, threads: int, cuda: bool) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads > 0:
            options.intra_op_num_threads = threads
        providers: list[Any] = ["CPUExecutionProvider"]
        if cuda:
            onnxruntime.preload_dlls()
            providers.insert(0, ("CUDAExecutionProvider", cuda_options()))
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)
        # onnxruntime goes on with the CPU when CUDA's libraries do not load; that must not pass for a GPU.
        if cuda and "CUDAExecutionProvider" not in self._session.get_providers():
            raise DeviceError("onnxruntime could not load CUDA: its libraries or the driver do not fit this onnxruntime-gpu")
        self._input = self._session.get_inputs()[0].name
        self._half = self._session.get_inputs()[0].type == "tensor(float16)"

    def run(self, window: F32) -> F32:
        """See `Session.run`."""
        (logits,) = self._session.run(None, {self._input: window.astype(np.float16) if self._half else window})
        return np.asarray(logits, np.float32)

    def close(self) -> None:
        """See `Session.close`."""
        self._session = None


def cuda_options() -> dict[str, str]:
    """Settings of onnxruntime's CUDA provider for a cold start: grow by what is asked for, tune nothing."""
    return {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}


def _why_no_cuda() -> str:
    """Why CUDA cannot be used here, or nothing. Asks the driver for devices, which creates no context on any of them."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver on this machine (in a container: was it started with --gpus?)"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver shows no GPU"
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime-gpu is not installed"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "onnxruntime is installed without CUDA; install onnxruntime-gpu"
    return ""


def _import_openvino() -> ModuleType:
    """Import OpenVINO without its conversion tools, whose import alone tries to send a report (openvino-telemetry)."""
    tools = "openvino.tools.ovc"
    keep_out = "openvino" not in sys.modules
    if keep_out:
        # None makes the import of the tools raise ImportError, which openvino's __init__ expects where they are left out.
        sys.modules[tools] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if keep_out:
            del sys.modules[tools]
    module: ModuleType = openvino
    return module


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
