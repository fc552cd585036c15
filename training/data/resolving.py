"""A recipe's spacing and intensities where it takes them from the fingerprint of its training data."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.arrays import ZyxMm
from model.manifest.intensity import (
    ClipZscoreIntensity,
    Intensity,
    WindowIntensity,
    WindowSigmoidIntensity,
)
from training.data.fingerprint import (
    FINGERPRINT,
    ChannelFigures,
    Fingerprint,
    read_fingerprint,
    take_fingerprint,
    write_fingerprint,
)
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.data.quick_hash import data_sha256
from training.data_place import folder_of
from training.recipes.image_options import AnyIntensity, FingerprintIntensity
from training.recipes.recipe import Recipe
from training.training_errors import DataError, RecipeError
from training.whole_files import writing

SMALLEST_STD = 1e-3
"""Deviation of a foreground that is all alike."""

logger = logging.getLogger(__name__)


def resolved(
    recipe: Recipe, folders: Sequence[Path], *, kept: Path | None = None, workers: int = 1
) -> Recipe:
    """The recipe with the figures of the data it is trained on; the same where it asks for none.

    They come from the `fingerprint.json` in the folder; where there is none, or several folders, from the
    cases themselves.

    Args:
        recipe: may ask for figures.
        folders: data sets.
        kept: a file for a fingerprint that was taken of the cases, which is read where it is there already.
        workers: threads that read cases.

    Raises:
        DataError: a fingerprint is faulty or of other cases, or a case cannot be read.
        RecipeError: the recipe has other channels than the data.
    """
    if not recipe.takes_from_fingerprint:
        return recipe
    if kept is None or not kept.is_file():
        fingerprint = fingerprint_for(folders, recipe, workers)
        if kept is not None:
            with writing(kept):
                kept.parent.mkdir(parents=True, exist_ok=True)
            write_fingerprint(kept, fingerprint)
    else:
        fingerprint = read_fingerprint(kept)
    return with_figures(recipe, fingerprint)


def fingerprint_for(folders: Sequence[Path], recipe: Recipe, workers: int) -> Fingerprint:
    """The fingerprint beside the data, or a new one."""
    cases = [case for folder in folders for case in labelled_cases(folder)]
    base = folder_of(folders[0])
    if len(folders) == 1 and (base / FINGERPRINT).is_file():
        fingerprint = read_fingerprint(base / FINGERPRINT)
        if {case.name for case in fingerprint.cases} != {case.name for case in cases}:
            raise DataError(
                f"{base / FINGERPRINT}: is of other cases than the folder holds now; run "
                "`python -m training fingerprint` again"
            )
        _refuse_other_files(fingerprint, cases, base / FINGERPRINT)
        return fingerprint
    if any(case.prepared for case in cases):
        raise DataError(
            f"{base}: has no {FINGERPRINT}; prepare the data again with this recipe, which puts it there"
        )
    logger.info("no %s beside the data: taking the fingerprint of %d cases", FINGERPRINT, len(cases))
    return take_fingerprint(cases, recipe.labels, workers=workers)


def _refuse_other_files(fingerprint: Fingerprint, cases: Sequence[CaseFiles], path: Path) -> None:
    """Refuse the figures of images or labels that have others in their place by now.

    A prepared store has the figures of the files that it was made of, which need not be there any more.
    """
    if fingerprint.files_sha256 is None or any(case.prepared for case in cases):
        return
    if fingerprint.files_sha256 != data_sha256(cases):
        raise DataError(
            f"{path}: images or labels have changed since it was taken; run `python -m training fingerprint` "
            "again"
        )


def with_figures(recipe: Recipe, fingerprint: Fingerprint) -> Recipe:
    """The recipe with a fingerprint's spacing and intensities.

    Raises:
        RecipeError: the recipe has other channels than the fingerprint.
    """
    spacing: ZyxMm = fingerprint.spacing_zyx_mm
    if not isinstance(recipe.spacing_zyx_mm, str):
        spacing = recipe.spacing_zyx_mm
    stated = recipe.stated_inputs
    if len(stated) != len(fingerprint.channels):
        raise RecipeError(
            f"recipe {recipe.name}: sees {len(stated)} channel(s), the fingerprint has "
            f"{len(fingerprint.channels)}"
        )
    made = [
        _with_figures(channel.intensity, figures)
        for channel, figures in zip(stated, fingerprint.channels, strict=True)
    ]
    if recipe.inputs is None:
        return replace(recipe, spacing_zyx_mm=spacing, intensity=made[0])
    inputs = tuple(replace(one, intensity=new) for one, new in zip(recipe.inputs, made, strict=True))
    return replace(recipe, spacing_zyx_mm=spacing, inputs=inputs)


def _with_figures(intensity: AnyIntensity, figures: ChannelFigures) -> Intensity:
    if not isinstance(intensity, FingerprintIntensity):
        return intensity
    lower = figures.percentile_00_5
    upper = max(figures.percentile_99_5, lower + SMALLEST_STD)
    if intensity.scheme == "window":
        return WindowIntensity(lower=lower, upper=upper)
    if intensity.scheme == "window_sigmoid":
        return WindowSigmoidIntensity(lower=lower, upper=upper)
    std = max(figures.std, SMALLEST_STD)
    return ClipZscoreIntensity(lower=lower, upper=upper, mean=figures.mean, std=std)
