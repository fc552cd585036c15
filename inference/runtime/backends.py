"""Which library runs networks on which device, and how it is loaded.

| backend | device | precision |
|---|---|---|
| `openvino` | CPU | bf16 where the processor is faster in it and the manifest allows it, else fp32 |
| `onnxruntime` | CPU | fp32; the reference |
| `cuda` | NVIDIA GPU, onnxruntime-gpu | fp16 where the bundle has such a file and fp32 was not asked for |

The libraries are imported when a session is opened, since they are the slowest part of a cold start.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Literal

from inference.errors import DeviceError
from inference.runtime.cuda_devices import gpu_index, is_cuda, visible_gpus

Backend = Literal["openvino", "onnxruntime", "cuda"]
Device = str
"""`auto`, `cpu`, `cuda` or one of several GPUs, as `cuda_devices` names them; or a backend's own name."""
KNOWN_DEVICES = "auto, cpu, openvino, onnxruntime, cuda, cuda:NUMBER or cuda:GPU-UUID"
"""For messages."""
NAMES = ("auto", "cpu", "openvino", "onnxruntime")
"""Of devices that are not CUDA's."""


def select_backend(device: Device) -> Backend:
    """The backend for a device that the user asked for; a backend's own name stands for itself.

    `auto` is CUDA if onnxruntime-gpu is installed and the driver shows a GPU, else the CPU.

    Raises:
        DeviceError: a GPU was asked for and there is none, no such one, or no onnxruntime-gpu.
        ValueError: nothing is called so.
    """
    if not isinstance(device, str) or not (device in NAMES or is_cuda(device)):
        raise ValueError(f"device: must be {KNOWN_DEVICES}, is {device!r}")
    if is_cuda(device):
        if reason := _why_no_cuda():
            raise DeviceError(f"--device {device}: {reason}")
        gpu_index(device)
        return "cuda"
    if device == "openvino":
        return "openvino"
    if device == "onnxruntime":
        return "onnxruntime"
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
        visible_gpus()
    except DeviceError as error:
        return str(error)
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
