"""Trains the small nnU-Net that peers are compared with; a program for where nnU-Net is installed.

    PYTHON -m eval.benchmark.peers.small_nnunet --data DATA --work DIR --steps 160

Preprocessing, trainer, loss, augmentation and checkpoint are nnU-Net's own. Only the plans are written
here: a narrow network, so that it learns in minutes on two cores, with windows of a usual size. It learns
on patches of that size, since instance norm makes what it says of a small patch and of a whole window two
things. It has a channel for each structure of an abdominal label set, of which only the tissues are
annotated: the rest cost what channels cost.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as trainer_module

from eval.benchmark.training_loops.loop_setting import LoopSetting
from eval.benchmark.training_loops.nnunet_loop import (
    CONFIGURATION,
    DATASET,
    PLANS,
    compute_in,
    dataset_of,
    plans_of,
    preprocess,
)

SPACING_ZYX_MM = (1.6, 1.2, 1.2)
WINDOW_ZYX = (96, 160, 160)
"""Voxels that the network sees at a time."""
WIDTH, BATCH = 8, 1
EPOCH_STEPS = 20
"""Steps after which the learning rate falls."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train the small nnU-Net that peers are compared with.")
    parser.add_argument("--data", type=Path, required=True, help="data-set folder of LeanSeg's phantoms")
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's three folders")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16", help="of training")
    arguments = parser.parse_args(argv)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = str(arguments.work / name)
    os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 - the name is nnU-Net's
    train(arguments.data, arguments.work, arguments.steps, arguments.precision)
    return 0


def train(data: Path, work: Path, steps: int, precision: str) -> None:
    """Train one fold on all cases; the model lies in nnUNet_results in `work`."""
    torch.manual_seed(0)
    setting = LoopSetting(
        patch=WINDOW_ZYX[0],
        batch=BATCH,
        width=WIDTH,
        warm_up=0,
        steps=steps,
        threads=0,
        workers=1,
        device="cpu",
    )
    dataset = dataset_of(data)
    folder = work / "nnUNet_preprocessed" / DATASET
    plans = _plans(setting)
    preprocess(data, folder, plans, dataset)
    trainer = _trainer(plans, dataset, steps)
    compute_in(trainer, precision, setting.device)
    trainer.run_training()


def _plans(setting: LoopSetting) -> dict[str, Any]:
    plans = plans_of(setting)
    plans["configurations"][CONFIGURATION] |= {
        "data_identifier": f"{PLANS}_{CONFIGURATION}",
        "spacing": list(SPACING_ZYX_MM),
        "patch_size": list(WINDOW_ZYX),
    }
    return plans


def _trainer(plans: dict[str, Any], dataset: dict[str, Any], steps: int) -> Any:  # noqa: ANN401
    trainer = trainer_module.nnUNetTrainer(
        {**plans, "continue_training": False}, CONFIGURATION, "all", dataset, torch.device("cpu")
    )
    trainer.num_epochs = max(1, steps // EPOCH_STEPS)
    trainer.num_iterations_per_epoch = min(steps, EPOCH_STEPS)
    trainer.num_val_iterations_per_epoch = 1
    return trainer


if __name__ == "__main__":
    sys.exit(main())
