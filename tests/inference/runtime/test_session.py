"""Real ONNX files through every backend that is here; what is asked for and not there fails loudly."""

import gc
import subprocess
import sys

import numpy as np
import pytest

from inference.errors import DeviceError, DeviceMemoryError
from inference.runtime import backends, openvino_session, precision
from inference.runtime import session as runtime
from inference.runtime.backends import select_backend
from inference.runtime.onnxruntime_session import cuda_options
from inference.runtime.out_of_memory import is_out_of_memory
from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from tests.inference.onnx_files import bands, convolution, identity, write

BACKENDS = ["openvino", "onnxruntime"]
WINDOW = (1, 1, 8, 10, 12)
ONE = Settings(input_shape=WINDOW, threads=1)


@pytest.fixture
def window():
    return np.random.default_rng(0).normal(size=WINDOW).astype(np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_identity_and_twofold(backend, scale, window, tmp_path):
    session = open_session(write(identity(WINDOW, scale), tmp_path), backend, ONE)
    np.testing.assert_array_equal(session.run(window), window * np.float32(scale))
    session.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_sides_that_the_file_leaves_open_are_the_windows(backend, window, tmp_path):
    path = write(identity((1, 1, "z", "y", "x"), 2.0), tmp_path)
    session = open_session(path, backend, ONE)
    np.testing.assert_array_equal(session.run(window), 2 * window)
    np.testing.assert_array_equal(session.run(window + 1), 2 * window + 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_channels(backend, tmp_path):
    shape = (1, 2, 8, 10, 12)
    session = open_session(write(bands(shape, (0.0,)), tmp_path), backend, Settings(input_shape=shape))
    window = np.random.default_rng(0).integers(0, 99, shape).astype(np.float32)
    np.testing.assert_array_equal(session.run(window)[0, 1], 200 * window.sum(axis=1)[0])


def test_openvino_has_one_core(tmp_path, monkeypatch):
    """Several, closed in another order than they were made, make a signal at the end a segmentation fault."""
    library = backends.load_library("openvino")
    cores = []
    monkeypatch.setattr(library, "Core", lambda make=library.Core: cores.append(make()) or cores[-1])
    openvino_session._core.cache_clear()
    for _ in range(2):
        open_session(write(identity(WINDOW, 1.0), tmp_path), "openvino", ONE).close()
    assert len(cores) == 1


def test_both_backends_agree_on_a_convolution(window, tmp_path):
    path = write(convolution(WINDOW, channels=3), tmp_path)
    first, second = (open_session(path, backend, ONE).run(window) for backend in BACKENDS)
    assert first.shape == second.shape == (1, 3, 8, 10, 12)
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_bf16_where_it_pays(window, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_bf16_pays", lambda processor: True)
    path = write(convolution(WINDOW, channels=3), tmp_path)
    full, low = (
        open_session(path, "openvino", Settings(input_shape=WINDOW, threads=1, precision=allowed))
        for allowed in ("fp32", "bf16")
    )
    assert (full.precision, low.precision) == ("fp32", "bf16")
    np.testing.assert_allclose(low.run(window), full.run(window), atol=0.1)


@pytest.mark.parametrize(
    ("processor", "pays"),
    [
        ("vendor_id : GenuineIntel flags : avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("vendor_id : GenuineIntel flags : avx512f avx512_bf16 avx512_fp16", False),
        ("vendor_id : AuthenticAMD flags : avx512f avx512_bf16", True),
        ("vendor_id : AuthenticAMD flags : avx2", False),
        ("", False),
    ],
)
def test_processors_for_which_bf16_pays(processor, pays):
    assert precision._bf16_pays(processor) == pays


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_is_no_network(backend, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_text("not a network")
    with pytest.raises(DeviceError, match=r"broken\.onnx") as caught:
        open_session(path, backend, ONE)
    assert "\n" not in str(caught.value)


def test_cuda_that_is_not_there(monkeypatch):
    monkeypatch.setattr(backends, "_why_no_cuda", lambda: "no driver")
    with pytest.raises(DeviceError, match="--device cuda: no driver"):
        select_backend("cuda")
    assert select_backend("auto") in BACKENDS


@pytest.mark.parametrize("device", ["fast", "CPU", "cuda:", "cuda:one", "", None, 0])
def test_a_device_of_no_known_name_is_refused(device):
    with pytest.raises(ValueError, match=f"^device: must be auto, cpu, .*, is {device!r}$"):
        select_backend(device)


def test_auto_takes_cuda_where_it_works(monkeypatch):
    monkeypatch.setattr(backends, "_why_no_cuda", lambda: "")
    assert select_backend("auto") == select_backend("cuda") == "cuda"
    assert select_backend("cpu") == "openvino"


def test_cpu_without_openvino(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    assert select_backend("cpu") == "onnxruntime"


def test_openvino_is_imported_without_its_telemetry(tmp_path):
    path = write(identity(WINDOW, 1.0), tmp_path)
    script = (
        "import sys, pathlib; from inference.runtime.session import open_session;"
        "from inference.runtime.settings import Settings;"
        f"open_session(pathlib.Path({str(path)!r}), 'openvino', Settings(input_shape={WINDOW}));"
        "print([name for name in sys.modules if 'telemetry' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_cuda_options_follow_the_budget():
    common = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    assert cuda_options(Settings(input_shape=WINDOW, precision="bf16")) == common
    assert cuda_options(Settings(input_shape=WINDOW, precision="fp32")) == common | {"use_tf32": "0"}
    tight = cuda_options(Settings(input_shape=WINDOW, gpu_limit_mb=2, tight=True, gpu=3))
    assert tight["device_id"] == "3"
    assert tight["gpu_mem_limit"] == "2097152"
    assert tight["cudnn_conv_use_max_workspace"] == "0"


def test_a_network_that_cannot_be_loaded_is_told_without_the_librarys_source(tmp_path):
    model = identity(WINDOW, 2.0)
    model.graph.initializer[0].dims[:] = [7]
    path = write(model, tmp_path)
    with pytest.raises(DeviceError) as refused:
        open_session(path, "openvino", ONE)
    assert str(refused.value).startswith(f"{path}: openvino cannot load it (The size of the initializer does")


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failure 2: out of memory ; GPU=0",
        "BFCArena::AllocateRawInternal Available memory of 1024 is smaller than requested bytes of 4096",
        "Failed to allocate memory for requested buffer of size 51380224",
        "CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_messages_that_mean_out_of_memory(message):
    assert is_out_of_memory(RuntimeError(message))


def test_other_messages_do_not_mean_out_of_memory():
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("invalid graph"))


def test_a_network_that_does_not_fit(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    monkeypatch.setattr(runtime, "OnnxRuntimeSession", refuse)
    with pytest.raises(DeviceMemoryError, match="does not fit"):
        open_session(tmp_path / "a.onnx", "onnxruntime", ONE, read=lambda path: b"")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_run_gave_outlives_its_session(backend, window, tmp_path):
    """The mean of two networks is made where the first one wrote, which may be closed by then."""
    session = open_session(write(identity(WINDOW, 2.0), tmp_path), backend, ONE)
    logits = session.run(window)
    session.close()
    del session
    gc.collect()
    others = [np.full_like(window, -1) for _ in range(50)]  # What is free is written over.
    np.testing.assert_array_equal(logits, 2 * window)
    assert len(others) == 50
