"""What the engine's program says of a network's memory is taken as it is, or refused in one line."""

import sys

import pytest

from model.onnx_export import memory
from model.onnx_export.memory import MeasurementError, measure_memory
from tests.places import ROOT


def program(monkeypatch, source):
    monkeypatch.setattr(memory, "PROGRAM", (sys.executable, "-c", source))


def test_the_programs_answer_is_the_measurement(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROGRAM", (sys.executable, str(ROOT / "tests/fake_memory_program.py")))
    found = measure_memory(tmp_path / "a.onnx", "bf16")
    assert found == {"openvino-bf16": 194, "onnxruntime-fp32": 360}


def test_it_is_called_in_the_repository_with_the_whole_path_for_each_backend(monkeypatch, tmp_path):
    answer = "import json, os, sys; print(json.dumps({' '.join([os.getcwd(), *sys.argv[1:]]): 1}))"
    program(monkeypatch, answer)
    monkeypatch.chdir(tmp_path)
    first, second = measure_memory(tmp_path / "a.onnx", "fp32", (1, 2, 8))
    assert first == f"{ROOT} {tmp_path}/a.onnx --backend onnxruntime --allowed fp32 --shape 1 2 8"
    assert second == f"{ROOT} {tmp_path}/a.onnx --backend openvino --allowed fp32 --shape 1 2 8"


def test_the_programs_complaint_is_told_once(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("nothing")
    with pytest.raises(MeasurementError) as caught:
        measure_memory(path, "fp32")
    reason = "cannot be read (not an ONNX model, or damaged)"
    assert str(caught.value) == f"a.onnx: its memory with onnxruntime could not be measured ({reason})"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit('first\\nerror: no such library')", "error: no such library"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('forty')", "answer was 'forty'"),
        ("print('[1, 2]')", r"answer was '\[1, 2\]'"),
        ("print('{}')", "answer was '{}'"),
        ('print(\'{"onnxruntime-fp32": "much"}\')', "much"),
        ("print('{\"onnxruntime-fp32\": true}')", "true"),
    ],
)
def test_anything_else_is_one_line_that_names_the_file(monkeypatch, tmp_path, source, reason):
    program(monkeypatch, source)
    said = rf"^a\.onnx: its memory with onnxruntime could not be measured \(.*{reason}"
    with pytest.raises(MeasurementError, match=said):
        measure_memory(tmp_path / "a.onnx", "fp32")
