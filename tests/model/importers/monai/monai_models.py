"""Trained models as MONAI stores them, with random weights that have an opinion on every voxel."""

import copy
import json

import torch
import yaml
from monai.bundle import ConfigParser

from model.onnx_export.parity import synthetic_windows

NAMES = ("liver", "spleen", "stomach")
AUTO3DSEG = {
    "bundle_root": "$@work + '/segresnet_0'",
    "ckpt_path": "$@bundle_root + '/model'",
    "modality": "ct",
    "input_channels": 1,
    "output_classes": len(NAMES) + 1,
    "class_names": list(NAMES),
    "roi_size": [32, 32, 24],
    "orientation_ras": True,
    "crop_foreground": True,
    "sigmoid": False,
    "resample": True,
    "resample_resolution": [3.0, 3.0, 4.0],
    "normalize_mode": "range",
    "intensity_bounds": [-200.0, 300.0],
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": "@learning_rate"},
    "network": {
        "_target_": "SegResNetDS",
        "init_filters": 8,
        "blocks_down": [1, 1, 2],
        "norm": "INSTANCE_NVFUSER",
        "in_channels": "@input_channels",
        "out_channels": "@output_classes",
        "dsdepth": 2,
    },
}
"""`hyper_parameters.yaml`, as far as it matters, with expressions of which none is run."""
SPLEEN = {
    "imports": ["$import glob"],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [16, 32, 64, 128, 256],
        "strides": [2, 2, 2, 2],
        "num_res_units": 2,
        "norm": "batch",
    },
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0,
                "b_max": 1, "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer", "roi_size": [96, 96, 96], "sw_batch_size": 4, "overlap": 0.5,
        "device": "@device",
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {
                "_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
                "nearest_interp": False, "to_tensor": True,
            },
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"},
        ],
    },
    "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network", "inferer": "@inferer"},
    "run": ["$@evaluator.run()"],
}  # fmt: skip
"""The model zoo's `spleen_ct_segmentation`."""
SMALL = copy.deepcopy(SPLEEN)
"""The same with less to compute, in windows that overlap."""
SMALL["network_def"] |= {"channels": [8, 16, 32], "strides": [2, 2]}
SMALL["inferer"] |= {"roi_size": [32, 24, 16], "mode": "gaussian", "overlap": 0.3}
SMALL["preprocessing"]["transforms"][3]["pixdim"] = [4.0, -1, 2.2]
METADATA = {
    "version": "0.5.9",
    "data_source": "Task09_Spleen.tar",
    "network_data_format": {
        "inputs": {"image": {"modality": "CT", "num_channels": 1, "channel_def": {"0": "image"}}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}},
    },
}


def weights_of(network, seed):
    """Random weights; batch norms have seen other data than zeros and ones, and no class is always ahead."""
    torch.manual_seed(seed)
    built = ConfigParser(network).get_parsed_content().eval()
    state = built.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point():
            tensor.add_(0.1 * tensor.std(correction=0) * torch.randn_like(tensor))
    # The last bias as large as a logit is that of the logits.
    bias = [tensor for tensor in state.values() if tensor.shape == (network["out_channels"],)][-1]
    window = torch.from_numpy(synthetic_windows((32, 32, 32), network["in_channels"])[1])
    with torch.no_grad():
        bias -= built(window)[..., 8:24, 8:24, 8:24].mean(dim=(0, 2, 3, 4))
    return state


def write_auto3dseg(folder, folds=(0, 1), **changes):
    """A work folder; settings of `None` are left out."""
    for fold in folds:
        settings = {key: value for key, value in (AUTO3DSEG | changes).items() if value is not None}
        place = folder / f"segresnet_{fold}"
        (place / "configs").mkdir(parents=True)
        (place / "model").mkdir()
        (place / "configs" / "hyper_parameters.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        channels = {"in_channels": settings["input_channels"], "out_channels": settings["output_classes"]}
        network = {**settings["network"], **channels, "norm": "INSTANCE"}
        held = {"state_dict": weights_of(network, fold), "config": settings, "epoch": 3, "best_metric": 0.5}
        torch.save(held, place / "model" / "model.pt")
    return folder


def write_zoo_bundle(folder, config=SPLEEN, metadata=METADATA, seed=0):
    """A bundle of the model zoo."""
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.save(weights_of(config["network_def"], seed), folder / "models" / "model.pt")
    return folder
