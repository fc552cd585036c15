"""From trained networks to a bundle."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from model.arrays import F32, Zyx
from model.bundle import ModelBundle
from model.manifest.document import Manifest
from model.manifest.network import Localization, Member, Network
from model.manifest.window import AnyWindow
from model.onnx_export.packing import NetworkToPack, pack_bundle
from model.onnx_export.parity import other_sizes, synthetic_inputs
from training.bundling.description import Statement, localization_of, manifest_of, member_of
from training.bundling.trained import Trained
from training.data.folders import labelled_cases
from training.data.sampling import draw_crop
from training.data.store import CaseStore
from training.recipes.recipe import Recipe

LOCALIZATION_FILE = "localization.onnx"

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Network)


def write_ensemble(
    folder: Path,
    members: Sequence[Trained],
    localization: Trained | None,
    statement: Statement,
    *,
    data: Path | None = None,
    fp16: bool = True,
    overwrite: bool = False,
) -> ModelBundle:
    """Write a bundle of networks that `load_ensemble` found to fit together.

    Args:
        folder: where it shall lie.
        members: of the ensemble, in order.
        localization: the network that finds the region of interest, if any.
        statement: name, licence and use.
        data: data-set folder whose first case is compared on; None: made up.
        fp16: whether each member has a second file that computes in fp16.
        overwrite: replace a bundle that is already there.

    Raises:
        DataError: the first case of `data` cannot be read.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `folder`.
    """
    first = members[0].recipe

    def to_pack(trained: Trained, stated: Kind, *, fp16: bool) -> NetworkToPack[Kind]:
        recipe, sizes = trained.recipe, stated.window
        others = other_sizes(stated.window_zyx, sizes) if isinstance(sizes, AnyWindow) else []
        return NetworkToPack(
            network=trained.network,
            stated=stated,
            windows=comparison_windows(recipe, recipe.window_zyx, data),
            other_sizes=tuple(comparison_windows(recipe, size, data)[1] for size in others),
            fp16=fp16,
        )

    logger.info("making windows to compare on")
    packing = [
        to_pack(member, member_of(member.recipe, f"member-{number}.onnx", first), fp16=fp16)
        for number, member in enumerate(members, start=1)
    ]
    region = None
    if localization is not None:
        stated = localization_of(localization.recipe, LOCALIZATION_FILE, first)
        region = to_pack(localization, stated, fp16=False)  # Few small windows: a second file does not pay.
    trained = [*members, *([localization] if localization else [])]

    def make_manifest(
        packed: tuple[Member, ...], found: Localization | None, files: Mapping[str, str]
    ) -> Manifest:
        return manifest_of(trained, packed, found, files, statement)

    return pack_bundle(folder, packing, region, make_manifest, overwrite=overwrite)


def comparison_windows(recipe: Recipe, window_zyx: Zyx, data: Path | None) -> tuple[F32, F32]:
    """Inputs to compare on, each (1, channels, *window_zyx): noise, and a body.

    The body is the middle of the first case of a data set if one is given, else made up.

    Raises:
        DataError: the case cannot be read.
    """
    intensities = [channel.intensity for channel in recipe.case_inputs]
    noise, body = synthetic_inputs(window_zyx, intensities)
    if data is None:
        return noise, body
    case = CaseStore(labelled_cases(data)[:1], recipe, cache_mb=0).load(0)
    middle = np.round(np.array(case.channels.shape) / 2)
    return noise, draw_crop(case, middle, window_zyx)[0][None].astype(np.float32)
