"""A manifest that uses every field, and ONNX files that fit it."""

from functools import cache

from model.labels import FLARE23, merged_channels
from tests.inference.onnx_files import convolution


def document() -> dict:
    """A manifest of two inputs that uses every field."""
    return {
        "format_version": 2,
        "name": "a test",
        "inputs": [
            {"name": "CT", "modality": "CT", "intensity": {"kind": "window", "lower": -250, "upper": 250}},
            {"name": "PET", "modality": "PET", "intensity": {"kind": "zscore", "over": "nonzero_filled"}},
        ],
        "preprocessing": {
            "orientation": "stored", "crop": "nonzero", "crop_margin": 3,
            "normalize": "before_resampling", "figures_on": "image", "grid": "edges",
            "resampling": {"kind": "separate_axis", "in_plane": "linear", "along": "cubic", "above_ratio": 2},
        },
        "members": [
            {
                "file": "member0.onnx", "fp16_file": "member0.fp16.onnx", "spacing_zyx_mm": [2.5, 0.8, 0.8],
                "window_zyx": [40, 224, 192], "axes": "SPL", "precision": "bf16", "window": {"kind": "fixed"},
                "kept_spacing": ["z"], "kept_within": [0.75, 1.25],
                "intensities": [
                    {"kind": "clip_zscore", "lower": -970.5, "upper": 298.5, "mean": 93.3, "std": 136.2},
                    {"kind": "none"},
                ],
                "resampling": {"kind": "cubic"}, "memory_mb": {"openvino-bf16": 300, "onnxruntime-fp32": 500},
                "tiling": {
                    "overlap": 0.25, "placement": "even",
                    "importance": {"kind": "gaussian", "sigma": 0.25, "least": 0.01},
                    "order": {
                        "kind": "centre_first", "least_foreground": 10, "least_anterior": 5,
                        "anterior_share": 0.5, "passing_through": ["aorta"],
                    },
                    "mirror_axes": ["x", "y"], "padding": "end_slices", "skip_air": False,
                },
                "weight": 2,
                "ensemble": "a",
            },
            {
                "file": "member1.onnx", "spacing_zyx_mm": [1, 1, 1], "window_zyx": [96, 112, 128],
                "axes": "RAS",
            },
        ],
        "fusion": {"kind": "mean", "of": "logits", "over_windows": "logits"},
        "restoration": {"kind": "separate_axis", "in_plane": "linear", "along": "nearest"},
        "output": {
            "label_set": "flare23",
            "labels": dict(FLARE23.ids),
            "channels": list(merged_channels(FLARE23)),
            "activation": {"kind": "softmax"},
            "pairs": [{"merged": p.merged, "right": p.right, "left": p.left} for p in FLARE23.pairs],
            "lesions": ["tumor"],
            "written_as": {"duodenum": "stomach", "esophagus": None},
        },
        "postprocessing": [
            {"kind": "largest_component", "structures": ["liver", "spleen"], "together": True},
            {"kind": "longest_run", "structures": ["liver"]},
            {"kind": "min_voxels", "structures": ["tumor"], "voxels": 100},
            {"kind": "min_component_volume", "structures": ["tumor"], "mm3": 50, "becomes": "surroundings"},
            {"kind": "min_whole_volume", "structures": ["liver"], "ml": 50, "becomes": "surroundings"},
            {"kind": "near_other_structures", "structures": ["tumor"], "distance_mm": 20.5},
        ],
        "localization": {
            "file": "roi.onnx", "spacing_zyx_mm": [4, 4, 4], "window_zyx": [128, 128, 128], "margin_mm": 30,
            "crop_axes": ["z", "y", "x"], "skip_outside": True, "whole_below_mm": 60,
            "least_ml": 80, "more_looks": 0,
        },
        "provenance": {
            "recipe": "r", "git_revision": "g", "data": "d", "licence": "l", "intended_use": "research",
        },
        "files": {
            "member0.onnx": "0" * 64, "member0.fp16.onnx": "1" * 64, "member1.onnx": "2" * 64,
            "roi.onnx": "3" * 64,
        },
    }  # fmt: skip


SHAPES = {
    "member0.onnx": ((1, 2, 40, 224, 192), 13),
    "member0.fp16.onnx": ((1, 2, 40, 224, 192), 13),
    "member1.onnx": ((1, 2, 128, 112, 96), 13),
    "roi.onnx": ((1, 2, 128, 128, 128), 3),
}
"""Input shape of each file, in the network's own axis order, and its output channels."""


@cache
def network(name: str) -> bytes:
    """An ONNX file that fits the manifest."""
    shape, channels = SHAPES[name]
    return convolution(shape, channels).SerializeToString()


def write_networks(folder) -> None:
    for name in SHAPES:
        (folder / name).write_bytes(network(name))


def put(tree, path, value):
    """Set `members.0.tiling.overlap` and the like; `...` deletes."""
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        tree = tree[key]
    if value is ...:
        del tree[last]
    else:
        tree[last] = value
