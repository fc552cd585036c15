"""nnU-Net v2's training loop with the setting of the benchmark; a program for where nnU-Net is installed.

    PYTHON -m eval.benchmark.training_loops.nnunet_loop --help

Preprocessing, network, loss, optimizer, augmentation, loader and step are the trainer's own
(`nnUNetTrainer.train_step`); only the plans are written here, instead of being planned, so that the network
is the one that LeanSeg trains. Parts of a step are told apart by hooks.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as trainer_module
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import autocast

from eval.benchmark.training_loops.loop_clock import (
    BACKWARD,
    FORWARD,
    LOSS,
    REST,
    UPDATE,
    WAIT,
    LoopClock,
    read_call,
)
from eval.benchmark.training_loops.loop_setting import (
    DEVIATION_HU,
    HIGHEST_HU,
    LOWEST_HU,
    MEAN_HU,
    SPACING_MM,
    STRUCTURES,
    UNET_LEVELS,
    LoopSetting,
)

DATASET, CONFIGURATION, PLANS = "Dataset001_Benchmark", "3d_fullres", "nnUNetPlans"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the loop and write its times."""
    call = read_call(argv, "nnU-Net v2's training loop")
    setting = call.setting
    torch.set_num_threads(setting.threads)
    folders = {
        name: str(call.work / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    }
    os.environ.update({**folders, "nnUNet_n_proc_DA": str(setting.workers)})
    folder = call.work / "nnUNet_preprocessed" / DATASET
    plans, dataset = plans_of(setting), dataset_of(call.data)
    preprocess(call.data, folder, plans, dataset)
    device = torch.device(setting.device)
    trainer = trainer_module.nnUNetTrainer(
        {**plans, "continue_training": False}, CONFIGURATION, "all", dataset, device
    )
    compute_in(trainer, call.precision, setting.device)
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    clock = LoopClock(torch.cuda.synchronize if device.type == "cuda" else lambda: None)
    with _told(trainer, clock):
        for _ in range(setting.all_steps):
            batch = next(trainer.dataloader_train)
            clock.mark(WAIT)
            trainer.train_step(batch)
            clock.end_step()
    clock.write(call.report, call.precision, setting.batch)
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        loader._finish()
    return 0


def plans_of(setting: LoopSetting) -> dict[str, Any]:
    """nnU-Net's plans for the network and the patches of the setting."""
    figures = {
        "mean": MEAN_HU,
        "std": DEVIATION_HU,
        "median": MEAN_HU,
        "min": LOWEST_HU,
        "max": HIGHEST_HU,
        "percentile_00_5": LOWEST_HU,
        "percentile_99_5": HIGHEST_HU,
    }
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    for_labels = {**resampling, "is_seg": True, "order": 1}
    architecture = {
        "n_stages": UNET_LEVELS,
        "features_per_stage": setting.features,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * UNET_LEVELS,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (UNET_LEVELS - 1)],
        "n_conv_per_stage": [2] * UNET_LEVELS,
        "n_conv_per_stage_decoder": [2] * (UNET_LEVELS - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": f"{PLANS}_{CONFIGURATION}_{setting.patch}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": setting.batch,
        "patch_size": [setting.patch] * 3,
        "median_image_size_in_voxels": [setting.patch] * 3,
        "spacing": [SPACING_MM] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": for_labels,
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": architecture,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": DATASET,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": [SPACING_MM] * 3,
        "original_median_shape_after_transp": [setting.patch] * 3,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": figures},
    }


def dataset_of(data: Path) -> dict[str, Any]:
    """nnU-Net's dataset.json of a data-set folder whose labels count from 0 without gaps."""
    cases = len(list((data / "labelsTr").glob("*.nii.gz")))
    labels = {"background": 0, **{f"structure {number}": number for number in range(1, STRUCTURES + 1)}}
    return {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }


def preprocess(data: Path, folder: Path, plans: dict[str, Any], dataset: dict[str, Any]) -> None:
    """Let nnU-Net preprocess the cases of a data-set folder that it has not preprocessed yet."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION)
    target = folder / configuration.data_identifier
    target.mkdir(parents=True, exist_ok=True)
    for name, document in {"dataset": dataset, PLANS: plans, "dataset_fingerprint": {}}.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    for labels in sorted((data / "labelsTr").glob("*.nii.gz")):
        name = labels.name.removesuffix(".nii.gz")
        if not (target / f"{name}.pkl").is_file():
            image = data / "imagesTr" / f"{name}_0000.nii.gz"
            DefaultPreprocessor(verbose=False).run_case_save(
                str(target / name), [str(image)], str(labels), manager, configuration, dataset
            )


def compute_in(trainer: Any, precision: str, device: str) -> None:  # noqa: ANN401
    """Let the trainer compute in a precision; its own are fp32 on a CPU and fp16 on a GPU."""
    if device == "cpu" and precision == "bf16":
        trainer_module.dummy_context = lambda: autocast("cpu", torch.bfloat16)
    elif device == "cuda" and precision == "fp32":
        trainer_module.autocast = lambda *_, **__: trainer_module.dummy_context()
        trainer.grad_scaler = None
    elif (device, precision) not in (("cpu", "fp32"), ("cuda", "fp16")):
        raise SystemExit(f"nnU-Net is not measured in {precision} on {device}")


@contextmanager
def _told(trainer: Any, clock: LoopClock) -> Iterator[None]:  # noqa: ANN401
    """Tell the clock when the parts of a step end."""
    clip = torch.nn.utils.clip_grad_norm_

    def clipped(*values: Any, **named: Any) -> torch.Tensor:  # noqa: ANN401
        clock.mark(BACKWARD)
        return clip(*values, **named)

    def ends(part: str) -> Callable[..., None]:
        return lambda *_: clock.mark(part)

    trainer.network.register_forward_pre_hook(ends(REST))
    trainer.network.register_forward_hook(ends(FORWARD))
    trainer.loss.register_forward_hook(ends(LOSS))
    trainer.optimizer.register_step_post_hook(ends(UPDATE))
    torch.nn.utils.clip_grad_norm_ = clipped
    try:
        yield
    finally:
        torch.nn.utils.clip_grad_norm_ = clip


if __name__ == "__main__":
    sys.exit(main())
