"""nnU-Net's own predictor on one case, in a process of its own.

Started by its path with any Python that has `nnunetv2`; needs nothing of this project.
"""

import argparse
from pathlib import Path

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


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
    if arguments.float32_sums:
        torch.half = torch.float32  # The type of its buffers is looked up by this name when they are made.
    predictor = nnUNetPredictor(
        use_mirroring=not arguments.no_mirroring,
        device=torch.device(arguments.device),
        perform_everything_on_device=arguments.device == "cuda",
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(
        str(arguments.model), tuple(arguments.folds), arguments.checkpoint
    )
    predictor.predict_from_files_sequential([arguments.images], [str(arguments.output)], overwrite=True)


if __name__ == "__main__":
    main()
