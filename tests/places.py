"""Where things lie."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("model", "inference", "training", "eval", "leanseg")
SOURCES = [
    ROOT / "predict.py",
    *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))),
]
CROPS = ROOT / "tests" / "data"
"""Crops of real images, in the project; see the README there."""
SHARED_DATA = ROOT.parent / "shared" / "data"
"""The whole images, beside the project; only tests of their size need them, and skip where they are not."""

FAKE_MEMORY_PROGRAM = (sys.executable, str(ROOT / "tests" / "fake_memory_program.py"))
"""Stands for `model.onnx_export.memory.PROGRAM`, which takes seconds for each network."""


def module_name(path: Path) -> str:
    """The name by which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def real_data(name: str) -> Path:
    """A real image or folder, e.g. `ct_abdomen/ct_0000.nii.gz`: the crop in the project if there is one."""
    return CROPS / name if (CROPS / name).exists() else whole_data(name)


def whole_data(name: str) -> Path:
    """A whole real image or folder; skips the test where there are none."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"whole real images are not beside this checkout ({path})")
    return path
