"""Running a network: one small interface, and OpenVINO and onnxruntime behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from inference.errors import DeviceError, DeviceMemoryError
from inference.runtime.backends import Backend
from inference.runtime.onnxruntime_session import OnnxRuntimeSession
from inference.runtime.openvino_session import OpenVinoSession
from inference.runtime.out_of_memory import first_line, is_out_of_memory
from inference.runtime.settings import Settings
from model.arrays import F32
from model.model_errors import BundleError


class Session(Protocol):
    """A network that is loaded and ready. Not safe to use from two threads at once."""

    def run(self, window: F32) -> F32:
        """Logits (1, classes, z, y, x) of one window (1, channels, z, y, x), in the network's axis order.

        The array may be changed; the next run may overwrite it.

        Raises:
            DeviceMemoryError: the device ran out of memory.
        """
        ...

    def close(self) -> None:
        """Give back the memory of the network; `run` must not be called any more.

        What the last run gave stays as it is.
        """
        ...


def open_session(
    path: Path, backend: Backend, settings: Settings, *, read: Callable[[Path], bytes] = Path.read_bytes
) -> Session:
    """Load an ONNX file that was already verified.

    Args:
        path: of the file.
        backend: what is to run it.
        settings: how.
        read: reads the file, and may verify it once more.

    Raises:
        DeviceError: the backend cannot run here, or cannot load the file; or it was altered.
        DeviceMemoryError: the network does not fit into the device's memory.
    """
    try:
        if backend == "openvino":
            return OpenVinoSession(read(path), settings)
        return OnnxRuntimeSession(read(path), settings, cuda=backend == "cuda")
    except DeviceError:
        raise
    except BundleError as error:
        raise DeviceError(str(error)) from error
    except (
        Exception
    ) as error:  # The libraries raise types of their own, which cannot be named without importing them.
        if is_out_of_memory(error):
            raise DeviceMemoryError(f"{path}: does not fit into the memory of {backend}") from error
        raise DeviceError(f"{path}: {backend} cannot load it ({first_line(error)})") from error
