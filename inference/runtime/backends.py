"""Which library runs networks on which device, and how it is loaded.

| backend | device | precision |
|---|---|---|
| `openvino` | CPU | bf16 where the processor is faster in it and the manifest allows it, else fp32 |
| `onnxruntime` | CPU | fp32; the reference |
| `cuda` | NVIDIA GPU, onnxruntime-gpu | fp16 where the bundle has such a file and fp32 was not asked for |

The libraries are imported when a session is opened, since they are the slowest part of a cold start.
"""

import ctypes
import importlib.util
import sys
from types import ModuleType
from typing import Literal

from inference.errors import DeviceError

Backend = Literal["openvino", "onnxruntime", "cuda"]
Device = Literal["auto", "cpu", "cuda"]


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


def load_library(backend: Backend) -> ModuleType:
    """Load what runs a backend's networks, without touching the device.

    It is the slow part of a cold start that can be done early.
    """
    if backend == "openvino":
        return _import_openvino()
    import onnxruntime

    if backend == "cuda":
        onnxruntime.preload_dlls()
    module: ModuleType = onnxruntime
    return module


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
    """Import OpenVINO without its conversion tools, whose import tries to send a report (telemetry)."""
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
