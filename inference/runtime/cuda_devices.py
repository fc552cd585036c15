"""The NVIDIA GPUs that this process may use, as CUDA's driver counts them.

What `CUDA_VISIBLE_DEVICES` or the container runtime hides is not there, and an instance of a divided GPU
(MIG) that they name is a GPU of its own. Asking makes no context on any of them.
"""

import ctypes
import re
import sys
from ctypes import byref, c_int, create_string_buffer
from typing import Any

from inference.errors import DeviceError

NAMED = re.compile(r"cuda(?::(?P<index>\d{1,3})|:(?P<uuid>(?:GPU|MIG)-[0-9a-fA-F-]{4,36}))?")
"""`cuda`, `cuda:1`, `cuda:GPU-8932f937` (as much of a UUID as tells it apart)."""
UUID_BYTES = 16


def is_cuda(device: str) -> bool:
    """Whether a device's name is that of an NVIDIA GPU."""
    return NAMED.fullmatch(device) is not None


def gpu_index(device: str) -> int:
    """The number of the GPU that a name means, among those that are visible; 0 for `cuda` alone.

    Raises:
        DeviceError: there is no such GPU.
    """
    named = NAMED.fullmatch(device)
    if named is None or named.group(0) == "cuda":
        return 0
    uuids = visible_gpus()
    if named["index"] is not None:
        if int(named["index"]) < len(uuids):
            return int(named["index"])
        raise DeviceError(f"--device {device}: {_shown(uuids)}")
    wanted = _digits(named["uuid"].partition("-")[2])
    found = [index for index, uuid in enumerate(uuids) if uuid.startswith(wanted)]
    if len(found) != 1:
        why = f"{len(found)} GPUs begin so; give more of it" if found else _shown(uuids)
        raise DeviceError(f"--device {device}: {why}")
    return found[0]


def visible_gpus() -> list[str]:
    """UUIDs of the visible GPUs in CUDA's order, 32 hexadecimal digits each.

    Raises:
        DeviceError: there is no driver, or it shows no GPU.
    """
    try:
        driver: Any = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        raise DeviceError(
            "there is no NVIDIA driver on this machine (in a container: was it started with --gpus?)"
        ) from error
    count = c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(byref(count)) != 0 or count.value == 0:
        raise DeviceError("the NVIDIA driver shows no GPU (does CUDA_VISIBLE_DEVICES hide it?)")
    return [_uuid(driver, index) for index in range(count.value)]


def _uuid(driver: Any, index: int) -> str:  # noqa: ANN401 - a library of C functions
    handle, uuid = c_int(0), create_string_buffer(UUID_BYTES)
    # The second version tells instances of a divided GPU apart; drivers before CUDA 11.4 have the first.
    ask = getattr(driver, "cuDeviceGetUuid_v2", None) or driver.cuDeviceGetUuid
    if driver.cuDeviceGet(byref(handle), index) != 0 or ask(uuid, handle) != 0:
        raise DeviceError(f"the NVIDIA driver does not say which GPU its number {index} is")
    return uuid.raw.hex()


def _digits(uuid: str) -> str:
    return uuid.replace("-", "").lower()


def _shown(uuids: list[str]) -> str:
    one = "1 GPU" if len(uuids) == 1 else f"{len(uuids)} GPUs"
    listed = ", ".join(f"{index} is {uuid[:8]}" for index, uuid in enumerate(uuids))
    return f"no such GPU; the NVIDIA driver shows {one}: {listed}"
