"""A data-set folder in nnU-Net's layout: which cases there are, and which of them are held out.

`imagesTr/CASE_0000.nii.gz` and `labelsTr/CASE.nii.gz`, with `dataset.json` or `labels.json` beside them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.case_names import FIRST_CHANNEL, case_name
from training.training_errors import DataError

ENDING = ".nii.gz"


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where one case lies."""

    name: str
    image: Path
    labels: Path


def labelled_cases(folder: Path) -> tuple[CaseFiles, ...]:
    """Cases of a data-set folder in the order of their names.

    Raises:
        DataError: the folder is no data set, holds no case, or an image has no labels.
    """
    images = folder / "imagesTr"
    if not images.is_dir():
        raise DataError(f"{folder}: no data set here (imagesTr is missing)")
    cases = []
    for image in sorted(images.glob(f"*{FIRST_CHANNEL}{ENDING}")):
        name = case_name(image.name.removesuffix(ENDING))
        labels = folder / "labelsTr" / f"{name}{ENDING}"
        if not labels.is_file():
            raise DataError(f"{labels}: missing, though the case has an image")
        cases.append(CaseFiles(name=name, image=image, labels=labels))
    if not cases:
        raise DataError(f"{images}: holds no *{FIRST_CHANNEL}{ENDING}")
    return tuple(cases)


def split_cases(
    cases: Sequence[CaseFiles], fraction: float, seed: int
) -> tuple[tuple[CaseFiles, ...], tuple[CaseFiles, ...]]:
    """Training and held-out cases; the share `fraction` is held out, at least one case unless it is 0.

    Raises:
        DataError: nothing would be left to train on.
    """
    held_out = max(1, round(fraction * len(cases))) if fraction > 0 else 0
    if held_out >= len(cases):
        raise DataError(f"{len(cases)} case(s): too few to hold out {held_out} for validation")
    order = np.random.default_rng((seed, 0)).permutation(len(cases))
    chosen = set(order[:held_out].tolist())
    kept = tuple(case for index, case in enumerate(cases) if index not in chosen)
    return kept, tuple(case for index, case in enumerate(cases) if index in chosen)


def data_name(folder: Path) -> str:
    """What a data set calls itself in its `dataset.json`; else its folder's name."""
    try:
        document = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return folder.name
    return str(document.get("name", folder.name)) if isinstance(document, dict) else folder.name
