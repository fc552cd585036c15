"""What a GPU benchmark might have measured."""

from typing import Any

SECONDS = {
    "wait": 0.001,
    "augment": 0.002,
    "forward": 0.1,
    "loss": 0.02,
    "backward": 0.2,
    "update": 0.077,
}


def steps(recipe: str = "mine", failed: str = "", **more: Any) -> dict[str, Any]:
    """Steps of a recipe, 0.4 s each, five patches a second."""
    if failed:
        return {"recipe": recipe, "wall_s": 1.0, "failed": failed}
    return {
        "recipe": recipe,
        "wall_s": 60.0,
        "failed": "",
        "parameters": 5_650_000,
        "patch_zyx": [32, 128, 192],
        "batch_size": 2,
        "precision": "bf16",
        "patches_per_s": 5.0,
        "step_s": 0.4,
        "seconds": SECONDS,
        "gpu_peak_mb": 3000.4,
        "host_peak_mb": 2000.0,
        "hardware": {
            "gpu": "A GPU",
            "gpu_memory_mb": 16000,
            "cuda": "13.0",
            "cores": 8,
            "processor": "A CPU",
        },
        **more,
    }


def engine(bundle: str = "embedded", failed: str = "") -> dict[str, Any]:
    """Three runs of the engine."""
    return {
        "bundle": bundle,
        "scan": "512×512×300",
        "runs": 3,
        "wall_s": 4.25,
        "failed": failed,
        "host_peak_mb": 900.0,
        "gpu_peak_mb": 1500.0,
        "gpu_mb_s": 6000.0,
        "backend": "onnxruntime-cuda",
        "precisions": ["fp16"],
    }


def measured(**more: Any) -> dict[str, Any]:
    """Two recipes, of which one did not fit, a run, and the engine."""
    ended = {"wall_s": 30.0, "failed": ""}
    return {
        "revision": "abc1234",
        "gpu_measured": True,
        "steps": [steps(), steps("large", failed="CUDA out of memory")],
        "training": {"recipe": "mine", "steps": 1000, "run": ended, "export": {**ended, "wall_s": 12.0}},
        "engine": [engine(), engine("trained here", failed="no CUDA")],
        **more,
    }
