"""Checkpoints ready to be exported, and whether they make an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from model.networks.build import build
from model.schema import dump
from training.recipes.loading import recipe_from
from training.recipes.recipe import FOREGROUND, Recipe
from training.runs.checkpoints import RunInfo, load_checkpoint, load_weights
from training.training_errors import ExportError, RecipeError

SECTION = "inference."
LOCALIZATION = f"{SECTION}localization"
SHARED = ("fusion", "restoration", "clean_up")
"""Fields of `inference` that a bundle has once, for all members."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A checkpoint, ready to be exported."""

    path: Path
    network: nn.Module
    """In evaluation mode."""
    info: RunInfo

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by."""
        return self.info.recipe


def load_trained(path: Path, overrides: Sequence[str] = ()) -> Trained:
    """A checkpoint with its network built and filled.

    Args:
        path: of the checkpoint.
        overrides: fields of its `inference` section to replace, e.g. `inference.tiling.overlap=0.25`.

    Raises:
        CheckpointError: it is missing, damaged or not one of ours.
        RecipeError: an override is faulty, or of another section.
    """
    tensors, info = load_checkpoint(path)
    if overrides:
        info = replace(info, recipe=recipe_from(dump(info.recipe), overrides))
    network = build(info.recipe.network)
    load_weights(network, tensors, path)
    return Trained(path=path, network=network.eval(), info=info)


def load_ensemble(
    checkpoints: Sequence[Path], localization: Path | None, overrides: Sequence[str] = ()
) -> tuple[tuple[Trained, ...], Trained | None]:
    """The members of a bundle and the network that finds the region of interest, if there is one.

    Args:
        checkpoints: of the members, in order.
        localization: checkpoint of a recipe with `channels: foreground`.
        overrides: fields of the `inference` sections to replace: those of `inference.localization` in the
            localization network's recipe, the others in every member's.

    Raises:
        CheckpointError: a checkpoint is not usable.
        RecipeError: an override is faulty, of another section, or for a network that there is none of.
        ExportError: the checkpoints do not make an ensemble.
    """
    for override in overrides:
        if not override.startswith(SECTION):
            raise RecipeError(f"--set {override}: only fields of inference can change after training")
    for_region = [override for override in overrides if override.startswith(LOCALIZATION)]
    if for_region and localization is None:
        raise RecipeError(f"--set {for_region[0]}: there is no localization network; give --localization")
    for_members = [override for override in overrides if override not in for_region]
    members = tuple(load_trained(path, for_members) for path in checkpoints)
    region = load_trained(localization, for_region) if localization is not None else None
    check_members(members)
    if region is not None:
        check_localization(region, members[0].recipe)
    return members, region


def check_members(members: Sequence[Trained]) -> None:
    """Refuse members that do not fit the first one, or that find the foreground only.

    Raises:
        ExportError: naming the checkpoint.
    """
    first = members[0]
    for member in members:
        recipe = member.recipe
        if recipe.channels == FOREGROUND:
            raise ExportError(
                f"{member.path}: finds the foreground only (recipe {recipe.name}); give it with "
                "--localization"
            )
        if (recipe.labels, recipe.channel_names) != (first.recipe.labels, first.recipe.channel_names):
            raise ExportError(
                f"{member.path}: has other channels than {first.path}; members of an ensemble must agree"
            )
        for name in SHARED:
            if getattr(recipe.inference, name) != getattr(first.recipe.inference, name):
                raise ExportError(
                    f"{member.path}: states another inference.{name} than {first.path}; "
                    f"say which with --set inference.{name}=…"
                )
        _check_images(member, first.recipe)


def check_localization(localization: Trained, first: Recipe) -> None:
    """Refuse a localization network that names organs, or that sees other images than the members.

    Raises:
        ExportError: naming the checkpoint.
    """
    if localization.recipe.channels != FOREGROUND:
        raise ExportError(
            f"{localization.path}: names organs (recipe {localization.recipe.name}), so it does not serve "
            "for localization"
        )
    _check_images(localization, first)


def _check_images(trained: Trained, first: Recipe) -> None:
    """A bundle states modality and order of normalization once, for all its networks."""
    seen, normalized = _modalities(trained.recipe), trained.recipe.normalize
    for name, found, wanted in (
        ("modality", seen, _modalities(first)),
        ("normalize", normalized, first.normalize),
    ):
        if found != wanted:
            raise ExportError(
                f"{trained.path}: was trained with {name} {found}, the first member with {wanted}; "
                "networks of a bundle must agree"
            )


def _modalities(recipe: Recipe) -> str:
    """What the channels of a recipe's images are, in order."""
    return ", ".join(channel.modality for channel in recipe.stated_inputs)
