"""LeanSeg's recipes for the benchmark: the network, loss, optimizer and augmentation of a peer.

Written as JSON, which is YAML too.
"""

from typing import Any

from eval.benchmark.training_loops.loop_setting import (
    CHANNELS,
    DEVIATION_HU,
    HIGHEST_HU,
    LOWEST_HU,
    MEAN_HU,
    SEGRESNET_BLOCKS,
    SPACING_MM,
    UNET_LEVELS,
    LoopSetting,
)

Recipe = dict[str, Any]


def like_nnunet(setting: LoopSetting) -> Recipe:
    """nnU-Net's, on its recipe of AMOS22: loss, optimizer, sampling and augmentation are there."""
    levels = UNET_LEVELS - 2  # nnU-Net computes one level more, and weighs it 0
    return _common("amos22-a", setting) | {
        "description": "nnU-Net's default training, for the benchmark.",
        "intensity": {
            "kind": "clip_zscore",
            "lower": LOWEST_HU,
            "upper": HIGHEST_HU,
            "mean": MEAN_HU,
            "std": DEVIATION_HU,
        },
        "network": {
            "kind": "plain_unet",
            "out_channels": CHANNELS,
            "features": setting.features,
            "strides": [[2, 2, 2]] * (UNET_LEVELS - 1),
            "kernels": None,
            "deep_supervision": levels,
        },
        "loss": {"level_weights": [2 ** (levels - 1 - i) / (2**levels - 1) for i in range(levels)]},
    }


def like_auto3dseg(setting: LoopSetting) -> Recipe:
    """Auto3DSeg's SegResNet, on the recipe that stands on it."""
    levels = len(SEGRESNET_BLOCKS) - 1
    return _common("flare23-segresnet", setting) | {
        "description": "Auto3DSeg's SegResNet, for the benchmark.",
        "intensity": {"kind": "window_sigmoid", "lower": LOWEST_HU, "upper": HIGHEST_HU},
        "network": {
            "kind": "segresnet",
            "out_channels": CHANNELS,
            "init_filters": setting.width,
            "blocks_down": list(SEGRESNET_BLOCKS),
            "dsdepth": levels,
        },
        "loss": {
            "terms": [
                {"kind": "dice", "batch": False, "background": False},
                {"kind": "cross_entropy"},
            ],
            "level_weights": [1 / 2**level for level in range(levels)],
        },
        "augmentation": {
            "rotation": {"chance": 0.2, "axial_deg": 15.0, "other_deg": 15.0},
            "scaling": {"chance": 0.2, "size": [0.8, 1.2], "axes": "all"},
            "elastic": None,
            "flips": {"axes": ["z", "y", "x"]},
            "noise": {"chance": 0.2, "deviation": [0.0, 0.1]},
            "blur": {"chance": 0.2, "sigma_voxels": [0.5, 1.0]},
            # Auto3DSeg scales and shifts with chance 0.5 each.
            "brightness": {"chance": 0.5, "factor": [0.7, 1.3], "shift": 0.1},
            "contrast": None,
            "low_resolution": None,
            "inverted_gamma": None,
            "gamma": None,
            "histogram_shift": None,
        },
    }


def _common(extends: str, setting: LoopSetting) -> Recipe:
    return {
        "extends": extends,
        "name": "benchmark",
        "label_set": "flare23",
        "channels": "plain",
        "spacing_zyx_mm": [SPACING_MM] * 3,
        "patch_zyx": [setting.patch] * 3,
        "resampling": {"kind": "linear"},
        "sampling": {"batch_size": setting.batch},
    }
