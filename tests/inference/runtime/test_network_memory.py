"""Memory of a network, measured in a process of its own."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from inference.errors import DeviceError
from inference.runtime.network_memory import measure_network
from inference.runtime.process_memory import held_mb, peak_mb, reset_peak
from tests.inference.onnx_files import convolution, write

WINDOW = (32, 64, 64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_network_takes_at_least_its_output(backend, tmp_path):
    path = write(convolution((1, 1, *WINDOW), channels=40), tmp_path)
    output_mb = 40 * np.prod(WINDOW) * 4 / 2**20
    assert output_mb <= measure_network(path, WINDOW, backend, "fp32") < 20 * output_mb


def test_a_file_that_cannot_be_run(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("nothing")
    with pytest.raises(DeviceError, match=r"a\.onnx: its memory could not be measured"):
        measure_network(path, WINDOW, "onnxruntime", "fp32")


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux lets a process count its peak anew"
)
def test_the_peak_can_be_counted_anew():
    reset_peak()
    before = peak_mb()
    # Fresh pages: an array could lie in memory that the process holds already.
    with mmap.mmap(-1, 40 << 20) as pages:
        for first in range(0, len(pages), 4096):
            pages[first] = 1
        assert peak_mb() > before + 30
    reset_peak()
    assert peak_mb() < before + 30
    assert held_mb() <= peak_mb()
