"""What a manifest says of networks that recipes made: recipes and run metadata become its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.manifest.document import Manifest, Preprocessing, Provenance
from model.manifest.intensity import Intensity
from model.manifest.network import Localization, Member
from model.manifest.output import Output
from model.manifest.window import AnyWindow, FixedWindow, WindowSizes
from model.onnx_export.revision import git_revision
from training.bundling.trained import Trained
from training.recipes.inference_options import LocalizationOptions
from training.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What nobody but the maker of a bundle knows."""

    name: str
    """Name of the bundle."""
    licence: str
    """Licence of the weights."""
    intended_use: str
    """What it is for, and what not."""


def member_of(recipe: Recipe, file: str, first: Recipe) -> Member:
    """A member's entry in the manifest.

    Args:
        recipe: that it was trained by.
        file: its ONNX file.
        first: recipe of the first member, whose intensity and resampling the manifest states for all.
    """
    return Member(
        **_network(recipe, file, first), window=window_sizes_of(recipe), tiling=recipe.inference.tiling
    )


def window_sizes_of(recipe: Recipe) -> WindowSizes:
    """Which windows a recipe's network may be given; the smallest has two voxels a side at its coarsest."""
    if not recipe.inference.any_window:
        return FixedWindow()
    steps = recipe.network.stride_zyx
    z, y, x = (min(side, 2 * step) for side, step in zip(recipe.window_zyx, steps, strict=True))
    return AnyWindow(multiple_of_zyx=steps, smallest_zyx=(z, y, x))


def localization_of(recipe: Recipe, file: str, first: Recipe) -> Localization:
    """The localization network's entry in the manifest; arguments as for `member_of`."""
    options = recipe.inference.localization or LocalizationOptions()
    return Localization(
        **_network(recipe, file, first),
        margin_mm=options.margin_mm,
        crop_axes=options.crop_axes,
        skip_outside=options.skip_outside,
        whole_below_mm=options.whole_below_mm,
        least_ml=options.least_ml,
        more_looks=options.more_looks,
    )


def _network(recipe: Recipe, file: str, first: Recipe) -> dict[str, Any]:
    return {
        "file": file,
        "spacing_zyx_mm": recipe.voxel_zyx_mm,
        "window_zyx": recipe.window_zyx,
        "intensities": None if _intensities(recipe) == _intensities(first) else _intensities(recipe),
        "resampling": None if recipe.resampling == first.resampling else recipe.resampling,
    }


def _intensities(recipe: Recipe) -> tuple[Intensity, ...]:
    return tuple(channel.intensity for channel in recipe.case_inputs)


def manifest_of(
    trained: Sequence[Trained],
    members: tuple[Member, ...],
    localization: Localization | None,
    files: Mapping[str, str],
    statement: Statement,
) -> Manifest:
    """The whole manifest.

    Args:
        trained: all networks, the first member first.
        members: their complete entries.
        localization: its complete entry.
        files: SHA-256 of each ONNX file.
        statement: name, licence and use.
    """
    first = trained[0].recipe
    return Manifest(
        name=statement.name,
        inputs=first.case_inputs,
        preprocessing=Preprocessing(normalize=first.normalize, resampling=first.resampling),
        members=members,
        fusion=first.inference.fusion,
        restoration=first.inference.restoration,
        output=output_of(first),
        postprocessing=first.inference.clean_up_of(first.labels),
        localization=localization,
        provenance=provenance_of(trained, statement),
        files=files,
    )


def output_of(recipe: Recipe) -> Output:
    """What the channels of a recipe mean."""
    labels = recipe.labels
    return Output(
        label_set=labels.name,
        labels=dict(labels.ids),
        channels=recipe.channel_names,
        pairs=labels.pairs,
        lesions=labels.lesions,
    )


def provenance_of(trained: Sequence[Trained], statement: Statement) -> Provenance:
    """Where the networks of a bundle came from, each once."""
    return Provenance(
        recipe=", ".join(dict.fromkeys(map(_origin, trained))),
        git_revision=git_revision(),
        data="; ".join(dict.fromkeys(name for item in trained for name in item.info.data.split("; "))),
        licence=statement.licence,
        intended_use=statement.intended_use,
    )


def _origin(trained: Trained) -> str:
    """E.g. `demo (seed 0, 400 steps)`, with the hash of the file that it started from, if any."""
    info = trained.info
    start = f", from weights sha256:{info.init_sha256}" if info.init_sha256 else ""
    return f"{info.recipe.name} (seed {info.seed}, {info.step} steps{start})"
