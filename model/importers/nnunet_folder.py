"""Where the trained model of nnU-Net v2 lies: a folder, a folder of such folders, or the zip of either.

    nnUNet_results/Dataset701_Abdomen/nnUNetTrainer__nnUNetPlans__3d_fullres/
        plans.json  dataset.json  fold_0/checkpoint_final.pth  fold_1/checkpoint_final.pth  …

`nnUNetv2_export_model_to_zip` puts `Dataset701_Abdomen/…` into the zip.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from model.importers.fold_choice import check_folds
from model.importers.foreign_fields import Place, below
from model.importers.found_below import found_below, opened
from model.model_errors import RefusedModelError

PLANS, DATASET = "plans.json", "dataset.json"
DEFAULT_CONFIGURATION = "3d_fullres"
CASCADE = "3d_cascade_fullres"
"""The second stage of a cascade, which cannot be imported."""
DEFAULT_CHECKPOINT = "checkpoint_final.pth"
DEPTH = 3
"""How many folders deep a model is looked for."""
FOLD = "fold_"
CLEAN_UP = "postprocessing.pkl"


def find_model(given: Path, configuration: str | None) -> Place:
    """The folder that holds `plans.json` and the folds.

    Args:
        given: what the user named.
        configuration: which one is wanted where there are several; None for 3d_fullres, or the only one.

    Raises:
        RefusedModelError: there is no such folder, or several.
    """
    root = opened(given)
    if isinstance(root, Path) and not root.is_dir():
        there = "neither a folder nor a zip" if root.exists() else "no such folder or zip"
        raise RefusedModelError(f"{given}: {there}")
    found = sorted(found_below(root, DEPTH, _is_model), key=str)
    if not found:
        raise RefusedModelError(
            _inside_of_model(given)
            or f"{given}: holds no trained model of nnU-Net v2 ({PLANS} and {DATASET} in a folder)"
        )
    wanted = configuration or DEFAULT_CONFIGURATION
    fitting = [place for place in found if _configuration(place) == wanted]
    if len(found) == 1 and not (configuration and "__" in found[0].name):
        fitting = found
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(below(place, root) for place in fitting)
        raise RefusedModelError(
            f"{given}: holds {len(fitting)} models of {wanted}; name one of their folders: {names}"
        )
    importable = [place for place in found if _configuration(place) != CASCADE] or found
    places = [(_configuration(place), below(place, root)) for place in importable]
    names = ", ".join(name if where in ("", ".") else f"{name} ({where})" for name, where in places)
    raise RefusedModelError(f"{given}: holds no model of {wanted}; choose with --configuration among {names}")


def trained_beside(model: Place) -> list[str]:
    """Configurations that were trained beside that of a model, but for second stages of cascades."""
    if isinstance(model, zipfile.Path) and not model.at:
        return []
    there = {_configuration(place) for place in found_below(cast(Place, model.parent), 1, _is_model)}
    return sorted(there - {_configuration(model), CASCADE})


def determined_clean_up(model: Place) -> Place | None:
    """The file of the clean-up that nnU-Net determined in cross-validation; None where there is none."""
    found = (place / CLEAN_UP for place in model.iterdir() if place.name.startswith("crossval_results"))
    return next((file for file in found if file.is_file()), None)


def _configuration(model: Place) -> str:
    """Of a trained model's folder, `TRAINER__PLANS__CONFIGURATION`."""
    return model.name.rpartition("__")[2]


def _inside_of_model(given: Path) -> str:
    """That a fold, or its checkpoint, was given instead of its model; empty where it was something else."""
    for fold in (given, given.parent):
        if fold.absolute().name.startswith(FOLD) and (fold.absolute().parent / PLANS).is_file():
            what = "a fold" if fold == given else "a file of a fold"
            return f"{given}: is {what} of a trained model; give the model's folder, {fold.parent}"
    return ""


def find_folds(model: Place, asked: Sequence[str], checkpoint: str) -> tuple[tuple[str, Place], ...]:
    """Names and checkpoints of the folds asked for, in order; all that are numbered where none is named.

    Args:
        model: see `find_model`.
        asked: e.g. `0`, `1`, or `all`: that trained on all cases, or all that are numbered where
            there is none.
        checkpoint: name of the file in a fold's folder.

    Raises:
        RefusedModelError: a fold is missing, or asked for twice, or there is none.
    """
    there = {place.name.removeprefix(FOLD): place for place in model.iterdir() if place.name.startswith(FOLD)}
    complete = sorted(name for name, place in there.items() if (place / checkpoint).is_file())
    every = [name for name in complete if name.isdecimal()] or complete
    names = every if not asked or (list(asked) == ["all"] and "all" not in there) else list(asked)
    check_folds(names, complete, checkpoint, model)
    return tuple((name, there[name] / checkpoint) for name in names)


def _is_model(place: Place) -> bool:
    return (place / PLANS).is_file() and (place / DATASET).is_file()
