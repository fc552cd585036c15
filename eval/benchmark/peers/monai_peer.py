"""MONAI's sliding-window inference with the network of an nnU-Net, on one CT, in a process of its own.

    PYTHON -m eval.benchmark.peers.monai_peer --help

What a user of MONAI writes: its transforms read, turn, resample and normalize; `sliding_window_inference`
runs the network in overlapping windows with Gaussian weights; the transforms inverted bring logits back to
the CT's own grid, where the largest wins. Intensities, spacing, window and weights are those of nnU-Net's
plans. MONAI mirrors nothing, resamples by linear interpolation and does not crop to what is not zero.

Needs monai and nnunetv2, which builds the network; one channel of CT and 3d plans only.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from monai.transforms import Compose, Orientation, ResampleToMatch, ScaleIntensityRange, Spacing
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

OVERLAP = 0.5
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK counts towards left and posterior, MONAI towards right and anterior."""


def main(argv: Sequence[str] | None = None) -> int:
    """Predict on the CPU or the first GPU."""
    parser = argparse.ArgumentParser(description="MONAI's sliding-window inference with an nnU-Net.")
    parser.add_argument("--model", type=Path, required=True, help="trained-model folder of nnU-Net")
    parser.add_argument("--folds", nargs="+", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="label map to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args(argv)
    predictor = nnUNetPredictor(device=torch.device(arguments.device), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(
        str(arguments.model), tuple(arguments.folds), arguments.checkpoint
    )
    image = sitk.ReadImage(str(arguments.image))
    with torch.inference_mode():
        labels = segment(as_tensor(image), predictor, torch.device(arguments.device))
    result = sitk.GetImageFromArray(labels.T)
    result.CopyInformation(image)
    sitk.WriteImage(result, str(arguments.output), useCompression=True)
    return 0


def as_tensor(image: sitk.Image) -> MetaTensor:
    """A CT as MONAI's reader gives it, (1, x, y, z), its affine in RAS; MONAI's own needs a package more."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    values = sitk.GetArrayFromImage(image).astype(np.float32).T[None]
    return MetaTensor(torch.from_numpy(values.copy()), affine=torch.from_numpy(LPS_TO_RAS @ affine))


def segment(given: MetaTensor, predictor: nnUNetPredictor, device: torch.device) -> Any:  # noqa: ANN401
    """Labels on the CT's own grid, (x, y, z) uint8."""
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    figures = plans.foreground_intensity_properties_per_channel["0"]
    lower, upper = figures["percentile_00_5"], figures["percentile_99_5"]
    prepare = Compose(
        [
            Orientation("LPS", labels=None),
            Spacing(pixdim=tuple(reversed(configuration.spacing)), mode="bilinear"),
            ScaleIntensityRange(
                a_min=lower,
                a_max=upper,
                b_min=(lower - figures["mean"]) / figures["std"],
                b_max=(upper - figures["mean"]) / figures["std"],
                clip=True,
            ),
        ]
    )
    image = prepare(given)
    # Networks of nnU-Net see (z, y, x).
    window = image.as_tensor().permute(0, 3, 2, 1)[None].to(device)
    mean: torch.Tensor | None = None
    for weights in predictor.list_of_parameters:
        predictor.network.load_state_dict(weights)
        network = predictor.network.to(device).eval()
        logits: Any = sliding_window_inference(
            window,
            roi_size=tuple(configuration.patch_size),
            sw_batch_size=1,
            predictor=network,
            overlap=OVERLAP,
            mode="gaussian",
        )
        mean = logits if mean is None else mean.add_(logits)
    assert mean is not None
    scores = MetaTensor(mean[0].permute(0, 3, 2, 1).cpu(), affine=image.affine)
    restored = ResampleToMatch(mode="bilinear", padding_mode="border")(scores, img_dst=given)
    return restored.argmax(dim=0).to(torch.uint8).numpy()


if __name__ == "__main__":
    sys.exit(main())
