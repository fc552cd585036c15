"""Real trained-model folders of nnU-Net v2, briefly trained by nnU-Net's own code, and what they label.

Run by a Python that has `nnunetv2` (requirements/peers.txt), in the project's folder:

    python -m tests.peers.nnunet_models train KIND[,KIND…] CASES_DIR FOLDER ITERATIONS
    python -m tests.peers.nnunet_models label KIND[,KIND…] IMAGES_DIR FOLDER LABELS_DIR
    python -m tests.peers.nnunet_models ensemble KIND,KIND[,KIND…] IMAGES_DIR FOLDER LABELS_DIR

CASES_DIR holds CTs, `imagesTr/CASE_0000.nii.gz`; IMAGES_DIR `CASE_0000.nii.gz`, `CASE_0001.nii.gz`. One
process does it for all kinds, since importing torch and nnU-Net takes longer than a case. Networks learn four
tissues by their attenuation, which a few dozen steps are enough for: what is compared needs sure winners, not
good ones.
"""

import json
import os
import shutil
import sys
from copy import deepcopy
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

TISSUES_HU = (-250, -20, 90, 220)
"""From where on smoothed voxels are fat, soft tissue, what took up contrast medium, bone."""
STRUCTURES = len(TISSUES_HU)
FEATURES = [8, 16, 24]
FOLDS = {"five_folds": (0, 1, 2, 3, 4)}
WAYS, SUMS = ("mirrored", "plain"), ("half", "float32")
"""Predictions are mirrored or not; windows are summed in half floats, as nnU-Net does, or in float32."""
KINDS = {
    "isotropic": {},
    "anisotropic": {"spacing": [7.5, 2.0, 2.0], "patch": [12, 48, 48], "flat_first": True},
    "transposed": {"transpose": [1, 2, 0], "spacing": [3.0, 2.5, 4.0], "patch": [32, 40, 24]},
    "residual": {"network": "ResidualEncoderUNet"},
    "two_channels": {"channels": ["CT", "T2"]},
    "regions": {"regions": True},
    "ignore": {"ignore": True},
    "flat": {"configuration": "2d", "spacing": [2.5, 2.5], "patch": [64, 64]},
    "five_folds": {},
    "lowres": {"configuration": "3d_lowres", "spacing": [6.0, 6.0, 6.0], "patch": [24, 32, 32]},
    "reoriented": {"reader": "NibabelIOWithReorient"},
}
"""The eleven kinds of models: what is unlike the first one."""


def resampling(order):
    return {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}


def architecture(kind, dimensions):
    """Three levels; the first ones of anisotropic plans are flat, as nnU-Net's planner makes them."""
    flat = kind.get("flat_first", False)
    kernels = [[3] * dimensions for _ in FEATURES]
    strides = [[1] * dimensions] + [[2] * dimensions for _ in FEATURES[1:]]
    if flat:
        kernels[0], strides[1] = [1, 3, 3], [1, 2, 2]
    name = kind.get("network", "PlainConvUNet")
    plain = name == "PlainConvUNet"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": len(FEATURES),
            "features_per_stage": FEATURES,
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": kernels,
            "strides": strides,
            "n_conv_per_stage" if plain else "n_blocks_per_stage": [2, 2, 2] if plain else [1, 3, 4],
            "n_conv_per_stage_decoder": [2, 2] if plain else [1, 1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def plans_of(kind, dataset):
    configuration = kind.get("configuration", "3d_fullres")
    spacing = kind.get("spacing", [4.0, 3.0, 3.0])
    patch = kind.get("patch", [24, 40, 40])
    transpose = kind.get("transpose", [0, 1, 2])
    channels = kind.get("channels", ["CT"])
    figures = {"max": 1500.0, "mean": 70.0, "median": 80.0, "min": -900.0}
    figures |= {"percentile_00_5": -500.0, "percentile_99_5": 320.0, "std": 110.0}
    return {
        "dataset_name": dataset,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [5.0, 2.5, 2.5],
        "original_median_shape_after_transp": [43, 127, 155],
        "image_reader_writer": kind.get("reader", "SimpleITKIO"),
        "transpose_forward": transpose,
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "configurations": {
            configuration: {
                "data_identifier": f"nnUNetPlans_{configuration}",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": patch,
                "median_image_size_in_voxels": [60.0] * len(patch),
                "spacing": spacing,
                "normalization_schemes": [
                    "CTNormalization" if name == "CT" else "ZScoreNormalization" for name in channels
                ],
                "use_mask_for_norm": [name != "CT" for name in channels],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": resampling(3),
                "resampling_fn_seg_kwargs": resampling(1) | {"is_seg": True},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": resampling(1),
                "architecture": architecture(kind, len(patch)),
                "batch_dice": True,
            }
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): figures for i in range(len(channels))},
    }


def dataset_of(kind):
    """`dataset.json`; regions are nested, and the ignore label is one above the last structure."""
    labels = {"background": 0, **{f"structure {i}": i for i in range(1, STRUCTURES + 1)}}
    described = {
        "channel_names": {str(i): name for i, name in enumerate(kind.get("channels", ["CT"]))},
        "labels": labels,
        "numTraining": 5,
        "file_ending": ".nii.gz",
        "licence": "CC0",
    }
    if kind.get("regions"):
        described["labels"] = {
            "background": 0,
            "all": [1, 2, 3, 4],
            "not fat": [2, 3, 4],
            "bright": [3, 4],
        }
        described["regions_class_order"] = [1, 2, 3]
    if kind.get("ignore"):
        described["labels"] = {**labels, "ignore": STRUCTURES + 1}
    return described


def write_raw(kind, cases, folder, described):
    """nnU-Net's raw data set; a second channel is the first one squared, with 0 around the body."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(described))
    for image in sorted((cases / "imagesTr").glob("*_0000.nii.gz")):
        shutil.copy(image, folder / "imagesTr" / image.name)
        name = image.name.removesuffix("_0000.nii.gz")
        smooth = sitk.DiscreteGaussian(sitk.Cast(sitk.ReadImage(str(image)), sitk.sitkFloat32), 4.0)
        array = np.digitize(sitk.GetArrayFromImage(smooth), TISSUES_HU).astype(np.uint8)
        if kind.get("ignore"):
            array[0] = STRUCTURES + 1
        label = sitk.GetImageFromArray(array)
        label.CopyInformation(smooth)
        sitk.WriteImage(label, str(folder / "labelsTr" / f"{name}.nii.gz"))
        if "channels" in kind:
            write_second_channel(image, folder / "imagesTr")


def write_second_channel(image, folder):
    """Positive inside the body, 0 in air: what `use_mask_for_norm` is about."""
    read = sitk.ReadImage(str(image))
    array = sitk.GetArrayFromImage(read).astype(np.float32)
    second = sitk.GetImageFromArray(np.where(array > -500, (array + 600) ** 2 / 1000, 0).astype(np.float32))
    second.CopyInformation(read)
    sitk.WriteImage(second, str(folder / image.name.replace("_0000.", "_0001.")))


def train(names, cases, folder, iterations):
    """A data set for each kind, preprocessed and trained; prints where each trained model lies."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = str(folder / name)
        (folder / name).mkdir(parents=True, exist_ok=True)
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - the name is nnU-Net's
    # nnU-Net reads its folders from the environment when it is imported.
    import torch
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.set_num_threads(1)
    for name in names:
        torch.manual_seed(0)
        np.random.seed(0)
        kind, dataset = KINDS[name], f"Dataset{701 + list(KINDS).index(name)}_{name}"
        plans, described = plans_of(kind, dataset), dataset_of(kind)
        (configuration,) = plans["configurations"]
        write_raw(kind, cases, folder / "nnUNet_raw" / dataset, described)
        preprocessed = folder / "nnUNet_preprocessed" / dataset
        preprocessed.mkdir()
        (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans))
        (preprocessed / "dataset.json").write_text(json.dumps(described))
        (preprocessed / "dataset_fingerprint.json").write_text("{}")
        shutil.copytree(folder / "nnUNet_raw" / dataset / "labelsTr", preprocessed / "gt_segmentations")
        DefaultPreprocessor(verbose=False).run(dataset, configuration, "nnUNetPlans", 1)
        for fold in FOLDS.get(name, (0,)):
            given = {**deepcopy(plans), "continue_training": False}
            trainer = nnUNetTrainer(given, configuration, fold, described, torch.device("cpu"))
            trainer.num_epochs, trainer.num_iterations_per_epoch = 1, iterations
            trainer.num_val_iterations_per_epoch = 1
            trainer.run_training()
        sys.stdout.write(f"{trainer.output_folder_base}\n")


def model_of(name, folder):
    """The trained-model folder of a kind."""
    (found,) = (folder / "nnUNet_results").glob(f"*_{name}/nnUNetTrainer__*")
    return found


def label(names, images, folder, labels):
    """What nnU-Net's predictor makes of all images: LABELS_DIR/KIND-WAY-SUMS/CASE.nii.gz."""
    from eval.verification.nnunet_program import predict

    for name, way, sums in product(names, WAYS, SUMS):
        model, target = model_of(name, folder), labels / f"{name}-{way}-{sums}"
        target.mkdir(parents=True)
        channels = len(KINDS[name].get("channels", ["CT"]))
        cases = {
            str(target / path.name.removesuffix("_0000.nii.gz")): [
                str(path).replace("_0000.", f"_{channel:04d}.") for channel in range(channels)
            ]
            for path in sorted(images.glob("*_0000.nii.gz"))
        }
        folds = [path.name.removeprefix("fold_") for path in sorted(model.glob("fold_*"))]
        predict(
            model,
            folds,
            "checkpoint_final.pth",
            cases,
            device="cpu",
            mirrored=way == "mirrored",
            float32_sums=sums == "float32",
        )


def ensemble(names, images, folder, labels):
    """What `nnUNetv2_ensemble` makes of the probabilities of several models, mirrored, summed in float32."""
    from nnunetv2.ensembling.ensemble import ensemble_folders

    from eval.verification.nnunet_program import predict

    parts = []
    for name in names:
        parts.append(labels.with_name(f"{labels.name}-{name}"))
        parts[-1].mkdir(parents=True)
        cases = {
            str(parts[-1] / path.name.removesuffix("_0000.nii.gz")): [str(path)]
            for path in sorted(images.glob("*_0000.nii.gz"))
        }
        predict(
            model_of(name, folder),
            ["0"],
            "checkpoint_final.pth",
            cases,
            device="cpu",
            mirrored=True,
            float32_sums=True,
            probabilities=True,
        )
        for file in ("plans.json", "dataset.json"):
            shutil.copy(model_of(name, folder) / file, parts[-1] / file)
    ensemble_folders([str(part) for part in parts], str(labels), num_processes=1)


if __name__ == "__main__":
    what, names, given, folder, more = sys.argv[1:]
    if what == "train":
        train(names.split(","), Path(given), Path(folder), int(more))
    elif what == "ensemble":
        ensemble(names.split(","), Path(given), Path(folder), Path(more))
    else:
        label(names.split(","), Path(given), Path(folder), Path(more))
