"""The CUDA path through onnxruntime's own API, with a device that is recorded and computes on the CPU."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from inference.errors import DeviceError, DeviceMemoryError
from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from tests.inference.onnx_files import identity, write

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
SHAPE = (1, 1, 2, 3, 4)
OF_SESSION, OF_VALUES = onnxruntime.InferenceSession, onnxruntime.OrtValue.ortvalue_from_shape_and_type


class RecordedGpu:
    """What is asked of the library, in order; `fails` breaks a session's opening or its runs."""

    def __init__(self):
        self.asked = []
        self.loads = True
        self.fails = {}

    def session(self, network, options, providers):
        """A real session on the CPU, which says that it is on CUDA."""
        self.asked.append(("session", providers))
        if "opening" in self.fails:
            raise self.fails["opening"]
        made = OF_SESSION(network, options, providers=[CPU])
        made.get_providers = lambda: [CUDA, CPU] if self.loads else [CPU]
        run = made.run_with_iobinding

        def run_or_fail(binding):
            if "running" in self.fails:
                raise self.fails["running"]
            run(binding)

        made.run_with_iobinding = run_or_fail
        return made

    def values(self, shape, dtype, device, device_id):
        """Memory of the CPU in the place of the GPU's."""
        self.asked.append(("memory", tuple(shape), np.dtype(dtype).name, device, device_id))
        return OF_VALUES(shape, dtype, "cpu", 0)


@pytest.fixture
def gpu(monkeypatch):
    recorded = RecordedGpu()
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: recorded.asked.append(("libraries",)))
    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded.session)
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", recorded.values)
    return recorded


def settings(**changes):
    return Settings(input_shape=SHAPE, gpu=1, gpu_limit_mb=700, **changes)


def half_precision(folder):
    """Logits = image + image, all in float16."""
    given, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, SHAPE) for name in ("image", "logits")
    )
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "image"], ["logits"])], "n", [given], [result]
    )
    return write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder)


def test_libraries_come_first_then_the_session_with_its_budget_then_memory_on_the_device(gpu, tmp_path):
    session = open_session(write(identity(SHAPE, 2.0), tmp_path), "cuda", settings(precision="fp32"))
    options = {
        "device_id": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "gpu_mem_limit": str(700 * 2**20),
        "use_tf32": "0",
    }
    assert gpu.asked == [
        ("libraries",),
        ("session", [(CUDA, options), CPU]),
        ("memory", SHAPE, "float32", "cuda", 1),
        ("memory", SHAPE, "float32", "cuda", 1),
    ]
    for value in (1.5, -3.0):
        assert session.run(np.full(SHAPE, value, np.float32)).tolist() == np.full(SHAPE, 2 * value).tolist()
    assert len(gpu.asked) == 4  # Windows take no more memory.


def test_a_file_in_half_precision_is_given_and_gives_that(gpu, tmp_path):
    session = open_session(half_precision(tmp_path), "cuda", settings(precision="fp16"))
    assert [asked[2] for asked in gpu.asked if asked[0] == "memory"] == ["float16", "float16"]
    logits = session.run(np.full(SHAPE, 0.1, np.float32))
    assert logits.dtype == np.float32
    assert np.unique(logits).tolist() == [2 * float(np.float16(0.1))]


def test_libraries_that_do_not_load_must_not_pass_for_the_gpu(gpu, tmp_path):
    gpu.loads = False
    with pytest.raises(DeviceError, match="could not load CUDA") as caught:
        open_session(write(identity(SHAPE, 1.0), tmp_path), "cuda", settings())
    assert not isinstance(caught.value, DeviceMemoryError)


def test_a_network_for_which_there_is_no_memory(gpu, tmp_path):
    gpu.fails["opening"] = RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer")
    with pytest.raises(DeviceMemoryError, match=r"network\.onnx: does not fit into the memory of cuda"):
        open_session(write(identity(SHAPE, 1.0), tmp_path), "cuda", settings())


@pytest.mark.parametrize(
    ("said", "error"),
    [("CUDNN_STATUS_ALLOC_FAILED at conv.cc:1", DeviceMemoryError), ("a bad node", RuntimeError)],
)
def test_windows_that_run_out_of_memory_are_told_from_other_faults(gpu, tmp_path, said, error):
    session = open_session(write(identity(SHAPE, 1.0), tmp_path), "cuda", settings())
    gpu.fails["running"] = RuntimeError(said)
    with pytest.raises(error, match=said) as caught:
        session.run(np.zeros(SHAPE, np.float32))
    assert type(caught.value) is error
