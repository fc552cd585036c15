import numpy as np
import pytest
import torch

from eval.benchmark.bundle_facts import MemberFacts
from eval.benchmark.convert import convert, describe, fill, read_weights
from eval.benchmark.plain import enlarge, even_slices, shrink
from eval.benchmark.torch_networks import KINDS, load_network
from eval.eval_errors import JudgingError
from inference.preprocessing.resampling import resample_image
from inference.restoration.interpolation import interpolate
from inference.sliding_window.placement import window_starts
from model.networks.build import build
from model.networks.spec import SegResNetSpec
from model.networks.unet_specs import PlainUNetSpec
from model.onnx_export.graph import export_onnx
from model.onnx_export.parity import synthetic_windows
from training.commands.work.untrained_work import random_network

WINDOW = (8, 16, 16)
UNET = PlainUNetSpec(out_channels=3, features=(2, 4, 8), strides=((1, 2, 2), (2, 2, 2)))
SEGRESNET = SegResNetSpec(out_channels=3, init_filters=4, blocks_down=(1, 2), dsdepth=1)


def unlike(network):
    """Norms apart, as training leaves them: the exporter stores equal ones once."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter)).copy_(parameter.half().float())
    return network.eval()


@pytest.mark.parametrize(
    "make",
    [lambda: random_network(UNET, seed=1), lambda: unlike(build(SEGRESNET))],
    ids=["U-Net", "SegResNet"],
)
def test_a_network_comes_back_from_its_onnx_file(tmp_path, make):
    torch.manual_seed(0)
    network = make()
    export_onnx(network, WINDOW, tmp_path / "network.onnx", synthetic_windows(WINDOW))
    assert convert(tmp_path / "network.onnx", WINDOW, tmp_path / "network.safetensors") < 1e-5
    window = torch.rand(1, 1, *WINDOW)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(tmp_path / "network.safetensors")(window), network(window))


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "network.onnx"
    export_onnx(random_network(UNET, seed=1), WINDOW, path, synthetic_windows(WINDOW))
    weights = read_weights(path)
    kind, arguments, weights = describe(weights, path)
    bias = weights.pop("output_block.conv.conv.bias")
    with pytest.raises(JudgingError, match="lacks output_block"):
        fill(KINDS[kind](**arguments), weights, path)
    with pytest.raises(JudgingError, match="has no place"):
        fill(KINDS[kind](**arguments), {**weights, "output_block.conv.conv.bias": bias[:1]}, path)
    with pytest.raises(JudgingError, match="neither a SegResNet of MONAI nor"):
        describe({"a.weight": bias}, path)
    (tmp_path / "text.onnx").write_text("no network", encoding="utf-8")
    with pytest.raises(JudgingError, match="cannot be read as ONNX"):
        read_weights(tmp_path / "text.onnx")


def test_half_floats_become_floats(tmp_path):
    path = tmp_path / "network.onnx"
    export_onnx(random_network(UNET, seed=1), WINDOW, path, synthetic_windows(WINDOW))
    assert {tensor.dtype for tensor in read_weights(path).values()} == {torch.float32}
    assert not any(name.endswith("_half") for name in read_weights(path))


def facts(interpolation, spacing_zyx_mm):
    return MemberFacts(
        path=None, spacing_zyx_mm=spacing_zyx_mm, window_zyx=WINDOW, overlap=0.5, importance="gaussian",
        sigma=0.125, interpolation=interpolation, lower_hu=0, upper_hu=1, shift_hu=0, scale_hu=1,
    )  # fmt: skip


@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("spacing_zyx_mm", [(1.0, 3.1, 2.5), (4.0, 0.7, 1.2)])
def test_the_image_is_brought_to_the_grid_that_predict_has(interpolation, spacing_zyx_mm):
    hu = np.random.default_rng(0).normal(size=(9, 29, 31)).astype(np.float32)
    found = shrink(torch.from_numpy(hu), (1.0, 1.0, 1.0), facts(interpolation, spacing_zyx_mm)).numpy()
    np.testing.assert_allclose(found, resample_image(hu, found.shape, interpolation), atol=1e-4)


def test_probabilities_are_enlarged_as_predict_has_it():
    small = np.random.default_rng(0).random((3, 5, 6, 7), np.float32)
    np.testing.assert_allclose(
        enlarge(torch.from_numpy(small), (9, 20, 8)).numpy(), interpolate(small, (9, 20, 8)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(110, 64, 0.5), (8, 8, 0.5), (121, 80, 0.5), (100, 32, 0.25)]
)
def test_even_windows_lie_where_predict_puts_them(size, window, overlap):
    found = even_slices((size,), (window,), (int(window * (1 - overlap)),))
    assert tuple(part.start for (part,) in found) == window_starts(size, window, overlap)
    assert {part.stop - part.start for (part,) in found} == {window}
