"""Running a network: one small interface, and OpenVINO and onnxruntime behind it.

| backend | device | precision |
|---|---|---|
| `openvino` | CPU | bf16 where the processor is faster in it and the manifest allows it, else fp32 |
| `onnxruntime` | CPU | fp32; the reference |
| `cuda` | NVIDIA GPU through onnxruntime-gpu | that of the ONNX file: fp16 where the bundle has one and fp32 was not asked for |

The libraries are imported when a session is opened, since they are the slowest part of a cold start.
"""

import ctypes
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.errors import DeviceError, DeviceMemoryError

F32 = NDArray[np.float32]
Backend = Literal["openvino", "onnxruntime", "cuda"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]

OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "available memory of",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)
"""In messages of CUDA, onnxruntime's arena, cuDNN and cuBLAS, the C++ library."""


class Session(Protocol):
    """A network that is loaded and ready. Not safe to use from two threads at once."""

    def run(self, window: F32) -> F32:
        """Logits (1, channels, z, y, x) of one window (1, 1, z, y, x), both in the network's own axis order.

        The array may be changed; the next run may overwrite it.

        Raises:
            DeviceMemoryError: the device ran out of memory.
        """
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


def effective_precision(backend: Backend, allowed: Precision) -> Precision:
    """The precision that a backend computes an fp32 file in where results allow `allowed`, judged without loading the backend."""
    return "bf16" if backend == "openvino" and allowed == "bf16" and _bf16_pays(_processor()) else "fp32"


@cache
def _processor() -> str:
    """What Linux says about the processor; nothing elsewhere, where networks then run in fp32."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _bf16_pays(processor: str) -> bool:
    """Whether bf16 is faster than fp32: with AMX tiles, or AMD's AVX-512.

    Intel's AVX-512 alone has bf16 too, but multiplies no faster with it: an Emerald Rapids whose AMX is
    hidden, as in many virtual machines, took 1.65 times as long in bf16 for three networks.
    """
    words = set(processor.split())
    return "amx_bf16" in words or {"AuthenticAMD", "avx512_bf16"} <= words


def load_library(backend: Backend) -> ModuleType:
    """Load what runs a backend's networks, without touching the device: the slow part of a cold start that can be done early."""
    if backend == "openvino":
        return _import_openvino()
    import onnxruntime

    if backend == "cuda":
        onnxruntime.preload_dlls()
    module: ModuleType = onnxruntime
    return module


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is to run."""

    threads: int = 0
    """CPU threads; 0 leaves the number to the library."""
    precision: Precision = "fp32"
    """Lowest precision that the result allows (`Network.precision`)."""
    gpu_limit_mb: int = 0
    """Most GPU memory in MiB that this network's arena may take, the CUDA context not counted; 0 for no
    limit."""
    tight: bool = False
    """Take convolutions that need little working memory rather than the fastest."""


def open_session(path: Path, backend: Backend, settings: Settings) -> Session:
    """Load an ONNX file that was already verified.

    Raises:
        DeviceError: the backend cannot run here, or cannot load the file.
        DeviceMemoryError: the network does not fit into the device's memory.
    """
    try:
        if backend == "openvino":
            return OpenVinoSession(path, settings)
        return OnnxRuntimeSession(path, settings, cuda=backend == "cuda")
    except DeviceError:
        raise
    except (
        Exception
    ) as error:  # The libraries raise types of their own, which cannot be named without importing them.
        if is_out_of_memory(error):
            raise DeviceMemoryError(f"{path.name}: does not fit into the memory of {backend}") from error
        raise DeviceError(f"{path.name}: {backend} cannot load it ({_first_line(error)})") from error


class OpenVinoSession:
    """A network on the CPU by OpenVINO. Compiled once; writes no cache and reports nothing."""

    def __init__(self, path: Path, settings: Settings) -> None:
        core = load_library("openvino").Core()
        low = effective_precision("openvino", settings.precision) == "bf16"
        self.precision: Precision = "bf16" if low else "fp32"
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        }
        if settings.threads > 0:
            options["INFERENCE_NUM_THREADS"] = settings.threads
        self._compiled: Any = core.compile_model(core.read_model(path.read_bytes()), "CPU", options)
        self._request: Any = self._compiled.create_infer_request()

    def run(self, window: F32) -> F32:
        """See `Session.run`."""
        try:
            self._request.infer({0: np.ascontiguousarray(window)}, share_inputs=True)
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceMemoryError(f"the processor's memory ran out ({_first_line(error)})") from error
            raise
        logits: F32 = self._request.get_output_tensor(0).data
        return logits

    def close(self) -> None:
        """See `Session.close`."""
        self._request = self._compiled = None


class OnnxRuntimeSession:
    """A network on the CPU or on CUDA by onnxruntime."""

    def __init__(self, path: Path, settings: Settings, *, cuda: bool) -> None:
        onnxruntime = load_library("cuda" if cuda else "onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if settings.threads > 0:
            options.intra_op_num_threads = settings.threads
        providers: list[Any] = ["CPUExecutionProvider"]
        if cuda:
            providers.insert(0, ("CUDAExecutionProvider", cuda_options(settings)))
        self._session: Any = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
        # onnxruntime goes on with the CPU when CUDA's libraries do not load; that must not pass for a GPU.
        if cuda and "CUDAExecutionProvider" not in self._session.get_providers():
            raise DeviceError(
                "onnxruntime could not load CUDA: its libraries or the driver do not fit this onnxruntime-gpu"
            )
        self._buffers: Any = Buffers(self._session, "cuda" if cuda else "cpu")

    def run(self, window: F32) -> F32:
        """See `Session.run`."""
        try:
            return np.asarray(self._buffers.run(window), np.float32)
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceMemoryError(f"the device ran out of memory ({_first_line(error)})") from error
            raise

    def close(self) -> None:
        """See `Session.close`."""
        self._buffers = self._session = None


class Buffers:
    """Input and output of one shape that stay on the device, so that nothing is allocated from window to window."""

    def __init__(self, session: Any, device: str) -> None:  # noqa: ANN401 - an onnxruntime.InferenceSession, imported lazily
        from onnxruntime import OrtValue

        self._session = session
        self._binding = session.io_binding()
        given, result = session.get_inputs()[0], session.get_outputs()[0]
        self._dtype = np.float16 if given.type == "tensor(float16)" else np.float32
        result_dtype = np.float16 if result.type == "tensor(float16)" else np.float32
        self._input = OrtValue.ortvalue_from_shape_and_type(given.shape, self._dtype, device, 0)
        self._output = OrtValue.ortvalue_from_shape_and_type(result.shape, result_dtype, device, 0)
        self._binding.bind_ortvalue_input(given.name, self._input)
        self._binding.bind_ortvalue_output(result.name, self._output)

    def run(self, window: F32) -> NDArray[Any]:
        """Logits of a window, on the host; on the CPU overwritten by the next run."""
        self._input.update_inplace(np.ascontiguousarray(window, self._dtype))
        self._session.run_with_iobinding(self._binding)
        logits: NDArray[Any] = self._output.numpy()
        return logits


def cuda_options(settings: Settings) -> dict[str, str]:
    """Settings of onnxruntime's CUDA provider for a cold start: grow by what is asked for, tune nothing."""
    options = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
    if settings.gpu_limit_mb:
        options["gpu_mem_limit"] = str(settings.gpu_limit_mb << 20)
    if settings.tight:
        options["cudnn_conv_use_max_workspace"] = "0"
    if settings.precision == "fp32":
        options["use_tf32"] = "0"  # On by default, it rounds what convolutions multiply to 10 bits.
    return options


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of one of the libraries says that memory ran out; they have no class for it."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


def _why_no_cuda() -> str:
    """Why CUDA cannot be used here, or nothing.

    Asks the driver for devices, which creates no context on any of them.
    """
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
        # None makes the import of the tools raise ImportError, which openvino's __init__ expects where they
        # are left out.
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
