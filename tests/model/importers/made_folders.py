"""Trained-model folders as nnU-Net v2 writes them, with random weights."""

import json

import numpy as np
import torch

from model.importers.nnunet_networks import spec_of
from model.importers.nnunet_weights import nnunet_name
from model.networks.build import build
from tests.peers.nnunet_models import FOLDS, KINDS, dataset_of, plans_of


def checkpoint_of(kind, plans, described, seed=0, trainer="nnUNetTrainer"):
    """What `save_checkpoint` of nnU-Net's trainer stores, copies of tensors and numpy's numbers included."""
    ((name, stated),) = plans["configurations"].items()
    flat = len(stated["patch_size"]) == 2
    regions = "regions_class_order" in described
    heads = len([label for label in described["labels"] if label != "ignore"]) - int(regions)
    spec = spec_of(stated, len(described["channel_names"]), heads, flat=flat, where="here")
    torch.manual_seed(seed)
    weights = {}
    for ours, parameter in build(spec).named_parameters():
        tensor = parameter.detach() + 0.1 * torch.randn_like(parameter)
        theirs = nnunet_name(ours, spec)
        weights[theirs] = tensor.squeeze(2) if flat and tensor.ndim == 5 else tensor
        weights[theirs.replace(".conv.", ".all_modules.0.")] = weights[theirs]
        if theirs.startswith("encoder."):
            weights[f"decoder.{theirs}"] = weights[theirs]
    weights["decoder.seg_layers.0.weight"] = torch.zeros(heads, 16, 1, 1, 1)
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "logging": {"mean_fg_dice": [np.float32(0.5), np.float64(0.25)], "epoch": np.int64(3)},
        "_best_ema": np.float64(0.5),
        "init_args": {"plans": plans, "configuration": name, "fold": 0, "dataset_json": described},
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": (0, 1) if flat else (0, 1, 2),
    }


def write_folder(folder, kind_name, *, folds=None, trainer="nnUNetTrainer", change=None):
    """Write `Dataset701_…/nnUNetTrainer__nnUNetPlans__…` and return it.

    Args:
        folder: of all results.
        kind_name: one of `KINDS`.
        folds: which ones have a checkpoint; None for those of the kind.
        trainer: who trained them.
        change: is given plans and `dataset.json` to change before they are written.
    """
    kind = KINDS[kind_name]
    plans, described = plans_of(kind, "Dataset701_Made"), dataset_of(kind)
    (configuration,) = plans["configurations"]
    model = folder / "Dataset701_Made" / f"{trainer}__nnUNetPlans__{configuration}"
    numbers = FOLDS.get(kind_name, (0,)) if folds is None else folds
    checkpoints = {
        fold: checkpoint_of(kind, plans, described, seed=0 if fold == "all" else fold, trainer=trainer)
        for fold in numbers
    }
    if change is not None:  # The checkpoints' init_args are the same objects, and so say the same.
        change(plans, described)
    for fold, checkpoint in checkpoints.items():
        (model / f"fold_{fold}").mkdir(parents=True)
        torch.save(checkpoint, model / f"fold_{fold}" / "checkpoint_final.pth")
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (model / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    return model


def age_network(configuration):
    """State a configuration's network as before nnU-Net 2.5: in the configuration itself."""
    given = configuration.pop("architecture")["arch_kwargs"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 8,
        "unet_max_num_features": 24,
        "n_conv_per_stage_encoder": given["n_conv_per_stage"],
        "n_conv_per_stage_decoder": given["n_conv_per_stage_decoder"],
        "pool_op_kernel_sizes": given["strides"],
        "conv_kernel_sizes": given["kernel_sizes"],
    }
