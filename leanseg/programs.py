"""Where the programs are: `predict.py` and the packages model, inference, training and eval.

In a clone they lie at its root, beside this package. Installed they lie in `leanseg/_programs`, because names
as common as `model` and `eval` must not stand in site-packages (docs/decisions/installed-names.md).
"""

import sys
from pathlib import Path

NAMES = ("model", "inference", "training", "eval", "predict")
"""Top-level modules of the programs."""

_INSIDE = Path(__file__).parent / "_programs"


def installed() -> bool:
    """Whether this is the installed package and not a clone."""
    return _INSIDE.is_dir()


def folder() -> Path:
    """The folder from which the programs are imported."""
    return _INSIDE if installed() else Path(__file__).resolve().parents[1]


def importable() -> str:
    """The same folder, for `sys.path`, after a look at what is loaded already.

    Raises:
        ImportError: another project's module of one of these names was imported before.
    """
    here = folder()
    for name in NAMES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None and not Path(file).resolve().is_relative_to(here.resolve()):
            raise ImportError(
                f"LeanSeg has a module named {name}, and {file} was imported under that name before; "
                "import leanseg.api first, or use LeanSeg in a process of its own"
            )
    return str(here)
