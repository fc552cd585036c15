"""nnU-Net's own predictor on one case, in a process of its own.

Started by its path with any Python that has `nnunetv2`; needs nothing of this project.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

try:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error.name} is not installed for {sys.executable}; "
        "run `make peers` and add --python .venv-peers/bin/python"
    )


def main() -> None:
    """Predict as `nnUNetv2_predict` does, on the CPU or the first GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="trained-model folder")
    parser.add_argument("--folds", nargs="+", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--images", nargs="+", required=True, help="one file a channel")
    parser.add_argument("--output", type=Path, required=True, help="label map, without its ending")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--no-mirroring", action="store_true")
    parser.add_argument(
        "--float32-sums",
        action="store_true",
        help="sum windows in float32; nnU-Net sums in half floats",
    )
    arguments = parser.parse_args()
    predict(
        arguments.model,
        arguments.folds,
        arguments.checkpoint,
        {str(arguments.output): arguments.images},
        device=arguments.device,
        mirrored=not arguments.no_mirroring,
        float32_sums=arguments.float32_sums,
    )


def predict(
    model: Path,
    folds: Sequence[str],
    checkpoint: str,
    cases: Mapping[str, Sequence[str]],
    *,
    device: str,
    mirrored: bool,
    float32_sums: bool,
    probabilities: bool = False,
) -> None:
    """Write the label maps of some cases.

    Args:
        model: trained-model folder.
        folds: of the ensemble.
        checkpoint: name of the file in each fold's folder.
        cases: label map, without its ending, to the images of the channels.
        device: cpu or cuda.
        mirrored: whether predictions are mirrored along the axes that the checkpoint names.
        float32_sums: whether windows are summed in float32.
        probabilities: whether those are written beside, as `--save_probabilities` does.
    """
    predictor = nnUNetPredictor(
        use_mirroring=mirrored,
        device=torch.device(device),
        perform_everything_on_device=device == "cuda",
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(str(model), tuple(folds), checkpoint)
    half = torch.half
    if float32_sums:
        torch.half = torch.float32  # The type of its buffers is looked up by this name when they are made.
    try:
        images = [list(channels) for channels in cases.values()]
        predictor.predict_from_files_sequential(
            images, list(cases), save_probabilities=probabilities, overwrite=True
        )
    finally:
        torch.half = half


if __name__ == "__main__":
    main()
