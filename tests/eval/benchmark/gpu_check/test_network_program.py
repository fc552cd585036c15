"""A network beside the CPU: on the CPU itself, and on providers that are not there."""

import json

import pytest

from eval.benchmark.gpu_check import network_program
from eval.benchmark.gpu_check.network_program import CPU, CUDA, MISSING, TENSORRT, main
from tests.inference.onnx_files import bands, write

SHAPE = (1, 1, 16, 16, 24)


@pytest.fixture
def networks(tmp_path):
    """Channels for up to a third, to two thirds, and above; and another that begins the second at 0.5."""
    return (
        write(bands(SHAPE, [1 / 3, 2 / 3]), tmp_path),
        write(bands(SHAPE, [0.5, 2 / 3]), tmp_path, "other.onnx"),
    )


def found(tmp_path, network, reference):
    words = ["--on", CPU, "--reference", str(reference), "--shape", *map(str, SHAPE), "--unit-scaled"]
    assert main([str(network), *words, "--json", str(tmp_path / "found.json")]) == 0
    return json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))


def test_a_network_agrees_with_itself(tmp_path, networks):
    told = found(tmp_path, networks[0], networks[0])
    assert (told["largest_difference"], told["agreement"], told["used"]) == (0.0, 1.0, [CPU])
    assert all(told[name] > 0 for name in ("import_s", "open_s", "first_window_s", "window_s"))


def test_another_network_does_not(tmp_path, networks):
    """Of noise from 0 to 1, a sixth lies between 1/3 and 1/2, where the two take different channels."""
    told = found(tmp_path, networks[1], networks[0])
    assert told["agreement"] == pytest.approx(5 / 6, abs=0.05)
    # 200·(1/2 - 1/3) more is subtracted from the last two channels; 200·(2 - 1/3 - 2/3) is the largest.
    assert told["largest_difference"] == pytest.approx(1 / 6, rel=0.02)


def test_a_library_that_is_not_installed_is_told_apart(tmp_path, networks, monkeypatch, capsys):
    import onnxruntime

    words = [str(networks[0]), "--reference", str(networks[0]), "--shape", *map(str, SHAPE)]
    words += ["--json", str(tmp_path / "found.json"), "--on"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert main([*words, CUDA]) == MISSING
    assert capsys.readouterr().err.endswith("is installed without CUDAExecutionProvider\n")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(network_program, "TENSORRT_LIBRARY", "libnone.so.0")
    assert main([*words, TENSORRT]) == MISSING
    assert "TensorRT is not installed (libnone.so.0 does not load)" in capsys.readouterr().err
    assert not (tmp_path / "found.json").exists()


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_that_does_not_load_must_not_pass_for_the_gpu(tmp_path, networks, monkeypatch, capsys):
    """This onnxruntime has no CUDA: given a session anyway, it goes on with the CPU."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    words = [str(networks[0]), "--reference", str(networks[0]), "--shape", *map(str, SHAPE), "--on", CUDA]
    assert main([*words, "--json", str(tmp_path / "found.json")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {CUDA} does not load")
