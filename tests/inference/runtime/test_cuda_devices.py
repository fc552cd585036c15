"""Which GPU a name means, with a driver that is made up here: three GPUs, two of which begin alike."""

import pytest

from inference.errors import DeviceError
from inference.runtime import backends, cuda_devices
from inference.runtime.backends import select_backend
from inference.runtime.cuda_devices import gpu_index, is_cuda

UUIDS = [
    "8932f937d72cb2e3c7c0a3d3f4d3a111",
    "8932ffffd72cb2e3c7c0a3d3f4d3a222",
    "01020304aabbccddeeff001122334455",
]


class Driver:
    """The functions of libcuda that are called; each returns 0 for success."""

    def __init__(self, uuids):
        self.uuids = uuids

    def cuInit(self, flags):  # noqa: N802 - the driver's name
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.uuids)
        return 0

    def cuDeviceGet(self, handle, index):  # noqa: N802
        handle._obj.value = 100 + index
        return 0

    def cuDeviceGetUuid_v2(self, uuid, handle):  # noqa: N802
        uuid.raw = bytes.fromhex(self.uuids[handle.value - 100])
        return 0


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(cuda_devices.ctypes, "CDLL", lambda name: Driver(UUIDS))


@pytest.mark.parametrize(
    ("device", "index"),
    [
        ("cuda", 0),
        ("auto", 0),
        ("cuda:2", 2),
        ("cuda:GPU-8932F937-d72c-b2e3-c7c0-a3d3f4d3a111", 0),
        ("cuda:GPU-8932ff", 1),
        ("cuda:MIG-01020304", 2),
    ],
)
def test_a_gpu_by_number_or_by_as_much_of_its_uuid_as_it_takes(three, device, index):
    assert gpu_index(device) == index


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            "cuda:3",
            "no such GPU; the NVIDIA driver shows 3 GPUs: 0 is 8932f937, 1 is 8932ffff, 2 is 01020304",
        ),
        ("cuda:GPU-8932", "2 GPUs begin so; give more of it"),
        ("cuda:GPU-ffff", "no such GPU"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(three, monkeypatch, device, message):
    monkeypatch.setattr(backends, "_why_no_cuda", lambda: "")
    with pytest.raises(DeviceError, match=f"^--device {device}: {message}"):
        select_backend(device)


def test_what_is_hidden_is_not_there(monkeypatch):
    monkeypatch.setattr(cuda_devices.ctypes, "CDLL", lambda name: Driver([]))
    with pytest.raises(DeviceError, match="shows no GPU \\(does CUDA_VISIBLE_DEVICES hide it"):
        select_backend("cuda:1")


@pytest.mark.parametrize(
    "device", ["cuda:", "cuda:-1", "cuda:x", "cuda:GPU-", "cuda:1000", "CUDA", "gpu", "cuda:1\n"]
)
def test_other_names_are_none(device):
    assert not is_cuda(device)
