"""Which device and precision a run takes."""

import pytest
import torch

from training.runs.device import emulates_bf16, find_device, find_precision
from training.training_errors import TrainingError


@pytest.mark.parametrize(
    ("has_gpu", "name", "expected"),
    [(False, "auto", "cpu"), (True, "auto", "cuda"), (True, "cpu", "cpu"), (True, "cuda", "cuda")],
)
def test_the_device_is_the_gpu_where_there_is_one(monkeypatch, has_gpu, name, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert find_device(name).type == expected


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch finds no usable NVIDIA GPU here"):
        find_device("cuda")


@pytest.mark.parametrize(
    ("device", "bf16", "amx", "expected"),
    [
        ("cpu", True, False, "bf16"),
        ("cpu", False, True, "bf16"),
        ("cpu", False, False, "fp32"),
        ("cuda", True, False, "bf16"),
        ("cuda", False, False, "fp16"),
    ],
)
def test_the_precision_is_the_fastest_that_the_device_computes_itself(
    monkeypatch, device, bf16, amx, expected
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert find_precision("auto", torch.device(device)) == expected
    assert find_precision("fp16", torch.device(device)) == "fp16"


@pytest.mark.parametrize(
    ("precision", "device", "machine", "bf16", "amx", "expected"),
    [
        ("bf16", "cpu", "x86_64", False, False, True),
        ("bf16", "cpu", "x86_64", True, False, False),
        ("bf16", "cpu", "x86_64", False, True, False),
        ("bf16", "cpu", "aarch64", False, False, False),  # It may have bf16: torch does not tell.
        ("fp32", "cpu", "x86_64", False, False, False),
        ("bf16", "cuda", "x86_64", False, False, False),
    ],
)
def test_bf16_is_emulated_by_a_processor_without_instructions_for_it(
    monkeypatch, precision, device, machine, bf16, amx, expected
):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert emulates_bf16(precision, torch.device(device)) is expected
