"""Memory of a network, measured in a process of its own."""

import json
import mmap
import subprocess
import sys

import numpy as np
import pytest

from inference.errors import DeviceError
from inference.runtime.network_memory import main, measure_here
from inference.runtime.process_memory import held_mb, peak_mb
from tests.inference.onnx_files import convolution, write
from tests.places import ROOT

WINDOW = (32, 64, 64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_network_takes_at_least_its_output(backend, tmp_path):
    path = write(convolution((1, 1, *WINDOW), channels=40), tmp_path)
    output_mb = 40 * np.prod(WINDOW) * 4 / 2**20
    words = ("-m", "inference.runtime.network_memory", str(path), "--backend", backend)
    ran = subprocess.run((sys.executable, *words), capture_output=True, check=True, cwd=ROOT)
    ((way, mb),) = json.loads(ran.stdout).items()
    assert way == f"{backend}-fp32"
    assert output_mb <= mb < 20 * output_mb


def test_a_file_that_cannot_be_run(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("nothing")
    with pytest.raises(DeviceError, match=r"a\.onnx: cannot be read \(not an ONNX model"):
        measure_here(path, "onnxruntime", "fp32")


def test_sides_that_the_file_leaves_open_must_be_given(tmp_path):
    path = write(convolution((1, 1, "z", "y", "x"), channels=2), tmp_path)
    with pytest.raises(DeviceError, match="leaves sides of its input open; give them with --shape"):
        measure_here(path, "onnxruntime", "fp32")
    assert measure_here(path, "onnxruntime", "fp32", (1, 1, 8, 16, 16)) >= 0


def test_the_program_prints_mebibytes_by_way(tmp_path, capsys):
    path = write(convolution((1, 1, 8, 8, 8), channels=2), tmp_path)
    assert main([str(path), "--backend", "onnxruntime", "--allowed", "bf16"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"onnxruntime-fp32"}
    assert main([str(tmp_path / "nowhere.onnx"), "--backend", "onnxruntime"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere.onnx'}: cannot be read")


def test_the_peak_stays_what_is_held_goes():
    before = held_mb()
    # Fresh pages: an array could lie in memory that the process holds already.
    with mmap.mmap(-1, 40 << 20) as pages:
        for first in range(0, len(pages), 4096):
            pages[first] = 1
        held = held_mb()
    assert held > before + 30
    assert held_mb() < held - 30
    assert peak_mb() > held - 5  # The kernel counts both by processor, and adds them up now and then.
