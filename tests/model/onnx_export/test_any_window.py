"""Files for windows of any size: compared on several, refused where a network is for one only."""

import onnx
import pytest
import torch
from torch import nn

from model.manifest.network import Member
from model.manifest.window import AnyWindow
from model.networks.build import build
from model.onnx_export import memory, packing
from model.onnx_export.graph import OtherSizes, export_onnx
from model.onnx_export.memory import lines_above, measure_growing
from model.onnx_export.packing import NetworkToPack, pack
from model.onnx_export.parity import (
    Parity,
    ParityError,
    compare,
    onnxruntime_predict,
    other_sizes,
    synthetic_windows,
    torch_predict,
)
from tests.model.networks.small import SMALL

WINDOW, STEPS = (8, 16, 24), (8, 8, 8)
OTHERS = tuple(synthetic_windows(size)[1] for size in ((16, 16, 16), (24, 16, 32)))


def export(network, path, steps=STEPS):
    others = OtherSizes(multiple_of=steps, windows=OTHERS)
    return export_onnx(network, WINDOW, path, synthetic_windows(WINDOW), others=others)


@pytest.mark.parametrize(
    "spec",
    [SMALL[0], *(pytest.param(spec, marks=pytest.mark.slow) for spec in SMALL[1:])],
    ids=lambda spec: spec.kind,
)
def test_every_kind_of_network_takes_windows_that_it_was_not_exported_on(spec, tmp_path):
    torch.manual_seed(0)
    network, path = build(spec).eval(), tmp_path / "a.onnx"
    assert export(network, path, spec.stride_zyx).largest_difference < 1e-3
    for size in ((8, 40, 16), (32, 8, 24)):
        found = compare(onnxruntime_predict(path), torch_predict(network), synthetic_windows(size))
        assert found.agreement > 0.99
    (image,), (logits,) = onnx.load(path).graph.input, onnx.load(path).graph.output
    for value in (image, logits):
        assert [side.dim_value for side in value.type.tensor_type.shape.dim][2:] == [0, 0, 0]


class _OfOneSize(nn.Module):
    """A convolution, and then something that holds for one window only."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 2, 3, padding=1)


class PlaceAware(_OfOneSize):
    """Adds a learned value for each place in the window."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 2, *WINDOW))

    def forward(self, x):
        return self.convolution(x) + self.places


class SizeAware(_OfOneSize):
    """Multiplies by a number that Python works out from the size: the exporter takes the number."""

    def forward(self, x):
        return self.convolution(x) * (float(int(x.shape[2])) / 8)


class PoolsToASize(_OfOneSize):
    """Answers on a grid of one size whatever the window, in which both runtimes agree."""

    def forward(self, x):
        pooled = nn.functional.avg_pool3d(self.convolution(x), 2)
        return nn.functional.interpolate(pooled, size=WINDOW)


@pytest.mark.parametrize("kind", [PlaceAware, SizeAware, PoolsToASize])
def test_a_network_whose_output_depends_on_the_fixed_shape_is_refused(kind, tmp_path):
    torch.manual_seed(0)
    network, path = kind().eval(), tmp_path / "a.onnx"
    tried = r"^a\.onnx: depends on the size of its window, tried 16×16×16, 24×16×32 "
    message = tried + r".*inference\.any_window .*--any-window"
    with pytest.raises(ParityError, match=message) as caught:
        export(network, path)
    assert "\n" not in str(caught.value)
    assert not path.exists()


MVOXEL = (100, 100, 100)
TWO, FOUR = (200, 100, 100), (200, 200, 100)


def test_a_line_above_two_measurements():
    """100 MiB at one million voxels and 300 at two: 200 each, 5 % more to go on, and nothing fixed."""
    (line,) = lines_above({MVOXEL: {"way": 100}, TWO: {"way": 300}}).values()
    assert line.mb_per_mvoxel == pytest.approx(210, abs=0.1)
    assert line.fixed_mb == pytest.approx(0, abs=0.1)


def test_no_measurement_lies_above_the_line():
    """The last two say 100 a million; the first lies 250 above what that gives without a fixed part."""
    found = {MVOXEL: {"way": 350}, TWO: {"way": 300}, FOUR: {"way": 500}}
    (line,) = lines_above(found).values()
    assert line.mb_per_mvoxel == pytest.approx(105, abs=0.1)
    assert line.fixed_mb == pytest.approx(350 - 105, abs=0.2)
    assert all(line.mb(window) >= mb["way"] for window, mb in found.items())


def test_memory_that_does_not_grow_is_fixed():
    (line,) = lines_above({MVOXEL: {"way": 70}, TWO: {"way": 60}}).values()
    assert line.mb_per_mvoxel == pytest.approx(0, abs=0.1)
    assert line.fixed_mb == pytest.approx(70, abs=0.1)


def measured_sizes(monkeypatch, tmp_path, mb_per_mvoxel, window=(16, 16, 32)):
    def measure(path, allowed, shape):
        return {"way": int(mb_per_mvoxel * shape[2] * shape[3] * shape[4] / 1e6)}

    monkeypatch.setattr(memory, "measure_memory", measure)
    return list(measure_growing(tmp_path / "a.onnx", "fp32", 1, window, STEPS))


def test_windows_grow_fourfold_until_the_next_would_take_too_much(monkeypatch, tmp_path):
    """8192 voxels take 82 MiB at 10 000 a million, then 328; another four times is 1311, above 1024."""
    assert measured_sizes(monkeypatch, tmp_path, 10_000) == [(16, 16, 32), (32, 32, 32)]
    assert measured_sizes(monkeypatch, tmp_path, 100)[:3] == [(16, 16, 32), (32, 32, 32), (64, 64, 32)]
    assert len(measured_sizes(monkeypatch, tmp_path, 0)) == memory.MOST_SIZES


def test_a_large_network_is_measured_on_a_smaller_window_too(monkeypatch, tmp_path):
    assert measured_sizes(monkeypatch, tmp_path, 50_000) == [(8, 16, 16), (16, 16, 32)]


def test_packing_states_memory_as_a_line_and_of_its_own_window(monkeypatch, tmp_path):
    """Steps along z, y, x are turned to the network's own axes, as its window is."""
    exported = []

    def export(network, window, path, windows, in_channels, others, *, exact):
        assert not exact
        exported.append((window, others))
        path.write_bytes(b"")
        return Parity(largest_difference=0.0, agreement=1.0)

    def measure(path, precision, channels, window, steps):
        assert (window, steps) == ((24, 16, 8), (8, 8, 4))
        return {window: {"openvino-fp32": 9}, MVOXEL: {"openvino-fp32": 100}, TWO: {"openvino-fp32": 200}}

    monkeypatch.setattr(packing, "export_onnx", export)
    monkeypatch.setattr(memory, "measure_growing", measure)
    sizes = AnyWindow(multiple_of_zyx=(4, 8, 8), smallest_zyx=(8, 16, 16))
    stated = Member(
        file="a.onnx", spacing_zyx_mm=(2.0, 1.0, 1.0), window_zyx=WINDOW, window=sizes, axes="LPS"
    )
    item = NetworkToPack(
        network=PlaceAware(),
        stated=stated,
        windows=synthetic_windows((24, 16, 8)),
        other_sizes=OTHERS,
        fp16=False,
        precision="fp32",
    )
    found = pack(item, tmp_path)
    ((window, others),) = exported
    assert (window, others.multiple_of, others.windows) == ((24, 16, 8), (8, 8, 4), OTHERS)
    assert found.memory_mb == {"openvino-fp32": 9}
    assert found.window.memory["openvino-fp32"].mb_per_mvoxel == pytest.approx(105, abs=0.1)


def test_other_sizes_by_hand():
    sizes = AnyWindow(multiple_of_zyx=(16, 16, 16), smallest_zyx=(32, 32, 32))
    assert other_sizes((64, 64, 64), sizes) == [(32, 32, 32), (80, 96, 32), (32, 80, 96), (64, 64, 128)]
    # Where the own window is the smallest, it is not among the others.
    assert other_sizes((32, 32, 32), sizes) == [(48, 48, 32), (32, 48, 48), (32, 32, 64)]
