"""Export is refused unless onnxruntime computes what torch computes."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from model.networks.build import build
from model.networks.spec import SegResNetSpec
from model.networks.unet_specs import SEUNetSpec
from model.onnx_export import half_precision
from model.onnx_export.graph import OPSET, export_onnx
from model.onnx_export.half_precision import bf16_is_safe, export_fp16, store_weights_as_half
from model.onnx_export.parity import (
    ParityError,
    compare,
    onnxruntime_predict,
    synthetic_windows,
    torch_predict,
    verify_onnx,
)

WINDOW = (8, 8, 16)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(SegResNetSpec(out_channels=3, init_filters=8, blocks_down=(1, 1), dsdepth=1)).eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    parity = export_onnx(network, WINDOW, path, synthetic_windows(WINDOW))
    return path, parity


def test_the_file_computes_what_torch_computes(network, exported):
    path, parity = exported
    assert parity.largest_difference < 1e-3
    window = synthetic_windows(WINDOW, seed=7)[1]
    assert compare(onnxruntime_predict(path), torch_predict(network), [window]).agreement > 0.99


def test_the_file_is_self_contained_with_a_fixed_window_and_our_opset(exported):
    path, _ = exported
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
    (image,), (logits,) = model.graph.input, model.graph.output
    assert [d.dim_value for d in image.type.tensor_type.shape.dim] == [1, 1, *WINDOW]
    assert [d.dim_value for d in logits.type.tensor_type.shape.dim] == [1, 3, *WINDOW]


def test_large_weights_are_stored_as_half_floats(exported):
    weights = {w.name: numpy_helper.to_array(w) for w in onnx.load(exported[0]).graph.initializer}
    assert all(
        (values.dtype == np.float16) == (values.size >= 256)
        for values in weights.values()
        if values.dtype.kind == "f"
    )
    assert any(values.dtype == np.float16 for values in weights.values())


def test_the_file_tells_nothing_about_the_machine_that_made_it(exported):
    contents = exported[0].read_bytes()
    assert b".py" not in contents
    assert b"/site-packages" not in contents


def test_an_altered_weight_is_noticed(network, exported, tmp_path):
    model = onnx.load(exported[0])
    weight = max(model.graph.initializer, key=lambda w: len(w.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 1
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    path = tmp_path / "altered.onnx"
    onnx.save(model, path)
    with pytest.raises(ParityError, match=r"altered\.onnx: onnxruntime and torch disagree"):
        verify_onnx(path, network, synthetic_windows(WINDOW))


class Untranslatable(nn.Module):
    """Computes something else while it is being exported."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 8, 3, padding=1)

    def forward(self, image):
        logits = self.convolution(image)
        return -logits if torch.compiler.is_exporting() else logits


class Weights(nn.Module):
    """One convolution whose sixteen channels have the weights given, all other weights 0."""

    def __init__(self, *of_channels) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 16, 3, padding=1, bias=False)
        with torch.no_grad():
            self.convolution.weight.zero_()
            self.convolution.weight[: len(of_channels)] = torch.tensor(of_channels).reshape(-1, 1, 1, 1, 1)

    def forward(self, image):
        return self.convolution(image)


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (Untranslatable(), "onnxruntime and torch disagree"),
        (Weights(1e6), "holds weights that half floats cannot"),
        (
            Weights(1.0, 1.0001),
            "half-float weights change 100",
        ),  # channel 1 wins everywhere, and ties once rounded
    ],
)
def test_a_faulty_network_is_refused_and_nothing_is_left(faulty, message, tmp_path):
    with pytest.raises(ParityError, match=message):
        export_onnx(faulty, WINDOW, tmp_path / "faulty.onnx", [np.ones((1, 1, *WINDOW), np.float32)])
    assert list(tmp_path.iterdir()) == []


def test_compare_by_hand():
    def one(window):
        return np.array([[1.0, 0.0], [0.0, 4.0]]).reshape(
            1, 2, 2
        )  # voxel 0 is channel 0, voxel 1 is channel 1

    def other(window):
        return np.array([[1.0, 5.0], [0.0, 4.0]]).reshape(1, 2, 2)

    parity = compare(one, other, [np.zeros((1, 1, 2))])
    assert parity.agreement == 0.5
    assert parity.largest_difference == 1.0  # 5 of 5


def test_not_a_number_is_no_agreement(network, exported, tmp_path):
    model = onnx.load(exported[0])
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT16:
            weight.CopyFrom(
                numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), np.nan), weight.name)
            )
    onnx.save(model, tmp_path / "nan.onnx")
    with pytest.raises(ParityError):
        verify_onnx(tmp_path / "nan.onnx", network, synthetic_windows(WINDOW))


def test_storing_as_half_twice_changes_nothing_more(exported, tmp_path):
    path = tmp_path / "twice.onnx"
    path.write_bytes(exported[0].read_bytes())
    store_weights_as_half(path)
    window = synthetic_windows(WINDOW)[0]
    np.testing.assert_array_equal(onnxruntime_predict(path)(window), onnxruntime_predict(exported[0])(window))


def test_synthetic_windows_are_network_input():
    noise, body = synthetic_windows(WINDOW, in_channels=2)
    for window in (noise, body):
        assert window.shape == (1, 2, *WINDOW)
        assert window.dtype == np.float32
        assert 0 <= window.min() < window.max() <= 1
    assert body[0, 0, 4, 0, 0] < 0.1 < body[0, 0, 4, 4, 8]


class Enlarging(nn.Module):
    """Halves and enlarges again, which becomes a `Resize` with factors that must stay fp32.

    The constant lies in a node of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 16, 3, padding=1, stride=2)

    def forward(self, image):
        return nn.functional.interpolate(self.convolution(image), scale_factor=2.0, mode="trilinear") * 0.75


@pytest.mark.parametrize("make", [lambda: None, Enlarging])
def test_a_second_file_computes_in_fp16(network, tmp_path, make):
    torch.manual_seed(1)
    subject = make() or network
    windows = synthetic_windows(WINDOW)[1:]
    export_onnx(subject, WINDOW, tmp_path / "a.onnx", windows)
    before = (tmp_path / "a.onnx").read_bytes()
    assert export_fp16(subject, tmp_path / "a.onnx", tmp_path / "a.fp16.onnx", windows)
    assert (tmp_path / "a.onnx").read_bytes() == before
    assert all(parameter.dtype == torch.float32 for parameter in subject.parameters())
    model = onnx.load(tmp_path / "a.fp16.onnx")
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {
        onnx.TensorProto.FLOAT
    }
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    convolutions = {
        name for node in model.graph.node if node.op_type.startswith("Conv") for name in node.output
    }
    types = {value.type.tensor_type.elem_type for value in inferred if value.name in convolutions}
    assert types == {onnx.TensorProto.FLOAT16}
    assert any(node.op_type == "Resize" for node in model.graph.node) == (make is Enlarging)
    found, expected = (
        onnxruntime_predict(tmp_path / "a.fp16.onnx")(windows[0]),
        torch_predict(subject)(windows[0]),
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_what_torch_has_no_half_code_for_is_rounded(tmp_path):
    """Averages over blocks, of a residual U-Net, are such on the CPU; the file is written all the same."""
    torch.manual_seed(1)
    pooled = nn.Sequential(nn.Conv3d(1, 4, 1), nn.AvgPool3d(2), nn.Upsample(scale_factor=2)).eval()
    windows = synthetic_windows(WINDOW)[1:]
    export_onnx(pooled, WINDOW, tmp_path / "a.onnx", windows)
    assert export_fp16(pooled, tmp_path / "a.onnx", tmp_path / "a.fp16.onnx", windows)


def test_bf16_is_not_safe_where_it_makes_a_tie():
    """Channel 1 wins everywhere by a thousandth of its logit, which is less than bf16 tells apart."""
    window = np.ones((1, 1, *WINDOW), np.float32)
    assert bf16_is_safe(Weights(1.0, 2.0), [window])
    assert not bf16_is_safe(Weights(1.0, 1.001), [window])


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_tried_with_sums_in_fp32_whatever_the_processor(monkeypatch, native):
    """512 ones: added up in bf16 they would stay at 256, which channel 1 with its 300 would win."""
    monkeypatch.setattr(half_precision, "computes_bf16", lambda: native)
    sums = nn.Conv3d(512, 2, 1)
    with torch.no_grad():
        sums.weight.copy_(torch.tensor([1.0, 300 / 512]).reshape(2, 1, 1, 1, 1).expand(2, 512, 1, 1, 1))
        sums.bias.zero_()
    assert bf16_is_safe(sums, [np.ones((1, 512, 2, 2, 2), np.float32)])


def test_convolutions_are_rounded_where_the_processor_does_not_know_bf16(monkeypatch):
    """1 + 1/512 lies half way between 1 and the next bf16, so that both channels tie in bf16 alone."""
    monkeypatch.setattr(half_precision, "computes_bf16", lambda: False)
    assert not bf16_is_safe(Weights(1.0, 1 + 2.0**-9), [np.ones((1, 1, *WINDOW), np.float32)])


def test_no_file_where_fp16_changes_the_result(tmp_path):
    """Channel 1 wins everywhere with 60 000 x 27.

    Half floats end at 65 504, so that it ties with channel 0 there.
    """
    steep, window = Weights(50_000.0, 60_000.0).eval(), np.ones((1, 1, *WINDOW), np.float32)
    export_onnx(steep, WINDOW, tmp_path / "a.onnx", [window])
    assert not export_fp16(steep, tmp_path / "a.onnx", tmp_path / "a.fp16.onnx", [window])
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_batch_norm_is_folded_before_weights_are_rounded(tmp_path):
    """Folded by the exporter, weights would be rounded twice: logits differ by 6e-4 then."""
    torch.manual_seed(0)
    subject = build(SEUNetSpec(out_channels=3, init_filters=4, levels=2))
    norms = [module for module in subject.modules() if isinstance(module, nn.BatchNorm3d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.2, 3)
        for _ in range(20):
            subject.train()(3 * torch.randn(2, 1, *WINDOW))
    parity = export_onnx(subject.eval(), WINDOW, tmp_path / "a.onnx", synthetic_windows(WINDOW))
    assert parity.largest_difference < 1e-5
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}
    assert all(isinstance(norm, nn.BatchNorm3d) and norm.running_mean.any() for norm in norms)
