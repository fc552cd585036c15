"""Networks of MONAI, written by both of torch's exporters as a stranger would, labelled by `predict.py`."""

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.networks.nets import AttentionUnet, BasicUNet, SegResNet

from model.__main__ import main
from model.onnx_export import memory
from tests.places import FAKE_MEMORY_PROGRAM, ROOT

SIDES = (16, 32, 32)
CLASSES = 5
"""Background and the four structures of FLARE21."""
OPEN = dict(enumerate(("batch", None, "depth", "height", "width")))


def basic_unet():
    return BasicUNet(3, 1, CLASSES, features=(4, 4, 8, 8, 8, 4))


def segresnet():
    return SegResNet(3, 8, 1, CLASSES, blocks_down=(1, 1), blocks_up=(1,))


def attention_unet():
    return AttentionUnet(3, 1, CLASSES, channels=(4, 8, 8), strides=(2, 2))


def by_torchscript(network, path, opset, **options):
    example = torch.zeros(1, 1, *SIDES)
    torch.onnx.export(network, (example,), str(path), opset_version=opset, dynamo=False, **options)


def with_open_sides(network, path, opset):
    """Batch and sides are left open, as `dynamic_axes` does."""
    axes = {place: name for place, name in OPEN.items() if name}
    names = {"input_names": ["image"], "output_names": ["logits"]}
    by_torchscript(network, path, opset, dynamic_axes={"image": axes, "logits": axes}, **names)


def with_weights_outside(network, path, opset):
    """torch's newer exporter, which puts weights into a file beside."""
    torch.onnx.export(
        network, (torch.zeros(1, 1, *SIDES),), str(path), opset_version=opset, dynamo=True, external_data=True
    )
    assert path.with_name(f"{path.name}.data").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("make", "export", "opset"),
    [
        (basic_unet, with_open_sides, 13),
        (segresnet, with_open_sides, 16),
        (attention_unet, by_torchscript, 17),
        (segresnet, with_weights_outside, 18),
    ],
    ids=["BasicUNet-13", "SegResNet-16", "AttentionUnet-17", "SegResNet-18"],
)
def test_labels_are_those_of_torch(make, export, opset, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", FAKE_MEMORY_PROGRAM)
    torch.manual_seed(0)
    network = make().eval()
    export(network, tmp_path / "given.onnx", opset)
    words = ["--labels", "flare21", "--intensity", "window:-100:100", "--output", str(tmp_path / "bundle")]
    words += ["--spacing-mm", "3", "2", "2", "--window", *map(str, SIDES)]
    assert main(["import", "onnx", str(tmp_path / "given.onnx"), *words]) == 0
    hu = np.random.default_rng(0).integers(-150, 150, SIDES).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((2, 2, 3))
    sitk.WriteImage(image, str(tmp_path / "case_0000.nii.gz"))
    words = ["--input", str(tmp_path / "case_0000.nii.gz"), "--output", str(tmp_path / "labels")]
    words += ["--bundle", str(tmp_path / "bundle"), "--device", "cpu", "--precision", "fp32"]
    done = subprocess.run([sys.executable, "predict.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with torch.inference_mode():
        logits = network(torch.from_numpy((hu.astype(np.float32).clip(-100, 100) + 100) / 200)[None, None])
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labels/case.nii.gz")))
    # The image is one window: nothing is resampled or averaged. Near-ties may turn between two runtimes.
    assert np.unique(found).size > 1
    assert np.mean(found == logits[0].argmax(dim=0).numpy()) > 0.999
