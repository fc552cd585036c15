"""A trained model of nnU-Net v2 becomes a bundle that gives the labels of `nnUNetv2_predict`."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.bundle import ModelBundle
from model.importers.fold_agreement import check_trained_alike, documents_of
from model.importers.foreign_fields import Place, field, printable_text
from model.importers.nnunet_folder import (
    DATASET,
    DEFAULT_CHECKPOINT,
    determined_clean_up,
    find_folds,
    find_model,
)
from model.importers.nnunet_manifest import (
    inputs_of,
    member_of,
    output_of,
    preprocessing_of,
    restoration_of,
)
from model.importers.nnunet_plans import Documents, Plans, read_plans
from model.importers.nnunet_recipe import NnunetRecipe
from model.importers.nnunet_weights import network_of
from model.importers.packaging import Packaging
from model.importers.safe_checkpoint import read_checkpoint
from model.manifest.document import Manifest, Provenance
from model.manifest.fusion import MeanFusion
from model.manifest.network import Localization, Member
from model.manifest.window import AnyWindow
from model.model_errors import RefusedModelError
from model.onnx_export.packing import MakeManifest, NetworkToPack, pack_bundle
from model.onnx_export.parity import other_sizes, synthetic_inputs

TRAINERS = re.compile(
    r"nnUNetTrainer"
    r"(Benchmark_5epochs(_noDataLoading)?|(_onlyMirror01)?(_?(DA5|DAOrd0|DASegOrd0|DA5ord0|DA5Segord0|NoDA))?"
    r"|_noDummy2DDA|CELoss|DiceLoss|Topk10Loss(LS01)?|DiceTopK10Loss|DiceCELoss_noSmooth|CosAnneal|_warmup"
    r"|(Vanilla)?Ada[mn](1en3|3en4|1en1|CosAnneal)?|NoDeepSupervision|_probabilisticOversampling(_\d+)?)?"
    r"(_\d+(epochs?|ep))?(_?NoMirroring)?"
)
"""Trainers of nnU-Net that build the network as the plans say."""

OTHER_BUILDERS = re.compile(r"nnUNetTrainerBN|.*Primus.*")
"""Trainers of nnU-Net that build another one, which cannot be expressed: batch norm, transformers."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold's checkpoint."""

    name: str
    configuration: str
    trainer: str
    mirrored: tuple[int, ...]
    """nnU-Net's axes that its predictions are mirrored along."""
    weights: Mapping[str, Any]
    trained_by: Documents | None
    """The plans and the data set that the checkpoint says it was trained by; None where it does not say."""
    where: Place


def import_nnunet(
    given: Path,
    folder: Path,
    packaging: Packaging,
    *,
    configuration: str | None = None,
    folds: Sequence[str] = (),
    checkpoint: str = DEFAULT_CHECKPOINT,
    any_trainer: bool = False,
) -> ModelBundle:
    """Write the bundle.

    Args:
        given: trained-model folder, one that holds it, or the zip.
        folder: where the bundle shall lie.
        packaging: what a bundle is told beside.
        configuration: which one, where there are several.
        folds: e.g. `0`, `1`, `all`; all that are there where none is named.
        checkpoint: name of the file in each fold's folder.
        any_trainer: take trainers that are not nnU-Net's own, on the user's word that they build the network
            of the plans.

    Raises:
        RefusedModelError: it is no such model, or one that cannot be expressed; nothing is written.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `folder`.
    """
    model = find_model(given, configuration)
    found = [_read_fold(name, place) for name, place in find_folds(model, folds, checkpoint)]
    first = found[0]
    for fold in found:
        _check_fold(fold, first, configuration, any_trainer=any_trainer)
    plans = read_plans(model, first.configuration)
    provenance = _provenance(plans, found, packaging)
    make_manifest = _manifest_maker(plans, str(model / DATASET), packaging.name or folder.name, provenance)
    to_pack = [_to_pack(fold, plans, first.mirrored, packaging) for fold in found]
    for fold in found:
        if fold.trained_by is not None:
            check_trained_alike(fold.trained_by, plans, model)
    _tell_of_clean_up(model, folder)
    return pack_bundle(folder, to_pack, None, make_manifest, overwrite=packaging.overwrite)


def _manifest_maker(plans: Plans, dataset: str, name: str, provenance: Provenance) -> MakeManifest:
    """What makes the manifest, once the networks are packed.

    Args:
        plans: of the configuration.
        dataset: where `dataset.json` lies, for messages.
        name: of the bundle.
        provenance: of its networks.

    Raises:
        RefusedModelError: the plans, or what they say of the labels, cannot be expressed.
    """
    inputs, output = inputs_of(plans), output_of(plans, dataset)
    preprocessing, restoration = preprocessing_of(plans), restoration_of(plans.scores, plans.where)

    def make_manifest(
        members: tuple[Member, ...], localization: Localization | None, files: Mapping[str, str]
    ) -> Manifest:
        return Manifest(
            name=name,
            inputs=inputs,
            preprocessing=preprocessing,
            members=members,
            fusion=MeanFusion(of="logits"),
            restoration=restoration,
            output=output,
            localization=localization,
            provenance=provenance,
            files=files,
        )

    return make_manifest


def _to_pack(
    fold: Fold, plans: Plans, mirrored: Sequence[int], packaging: Packaging
) -> NetworkToPack[Member]:
    """A fold's network, and what the manifest says of it.

    Args:
        fold: its checkpoint.
        plans: of the configuration.
        mirrored: nnU-Net's axes that predictions are mirrored along.
        packaging: what a bundle is told beside.

    Raises:
        RefusedModelError: it is not the network of the plans, or its windows cannot be expressed.
    """
    network = network_of(plans.network, fold.weights, fold.where)
    try:
        plans.network.check_window(plans.patch)
        stated = member_of(plans, f"fold-{fold.name}.onnx", mirrored, any_window=packaging.any_window)
    except RefusedModelError:
        raise
    except ValueError as error:
        raise RefusedModelError(f"{plans.where}: {error}") from error
    intensities = [channel.intensity for channel in inputs_of(plans)]
    others = other_sizes(stated.window_zyx, stated.window) if isinstance(stated.window, AnyWindow) else []
    return NetworkToPack(
        network=network,
        stated=stated,
        windows=synthetic_inputs(stated.input_shape, intensities),
        other_sizes=tuple(synthetic_inputs(stated.in_network_axes(size), intensities)[1] for size in others),
        fp16=packaging.fp16,
        exact=not packaging.half_weights,
    )


def _read_fold(name: str, place: Place) -> Fold:
    logger.info("reading %s", place)
    checkpoint = read_checkpoint(place)
    arguments: Mapping[str, Any] = field(checkpoint, "init_args", Mapping, place)
    mirrored = checkpoint.get("inference_allowed_mirroring_axes") or ()
    if not isinstance(mirrored, list | tuple) or not all(axis in (0, 1, 2) for axis in mirrored):
        raise RefusedModelError(f"{place}: mirrors along axes {mirrored}; known are 0, 1 and 2")
    return Fold(
        name=name,
        configuration=field(arguments, "configuration", str, place),
        trainer=printable_text(field(checkpoint, "trainer_name", str, place), "trainer_name", place),
        mirrored=tuple(int(axis) for axis in mirrored),
        weights=field(checkpoint, "network_weights", Mapping, place),
        trained_by=documents_of(arguments, place),
        where=place,
    )


def _check_fold(fold: Fold, first: Fold, configuration: str | None, *, any_trainer: bool) -> None:
    if configuration is not None and fold.configuration != configuration:
        raise RefusedModelError(f"{fold.where}: is of {fold.configuration}, not of {configuration}")
    if fold.configuration != first.configuration:
        raise RefusedModelError(
            f"{fold.where}: is of {fold.configuration}, fold {first.name} of {first.configuration}"
        )
    if OTHER_BUILDERS.fullmatch(fold.trainer):
        raise RefusedModelError(
            f"{fold.where}: was trained by {fold.trainer}, which builds another network than the plans say, "
            "one that cannot be expressed (batch norm, or a transformer)"
        )
    if not any_trainer and not TRAINERS.fullmatch(fold.trainer):
        raise RefusedModelError(
            f"{fold.where}: was trained by {fold.trainer}, which may build another network than the plans "
            "say; add --any-trainer if it does not"
        )


def _tell_of_clean_up(model: Place, folder: Path) -> None:
    """Say that nnU-Net determined a clean-up, and how the bundle can have it."""
    clean_up = determined_clean_up(model)
    if clean_up is not None:
        logger.info(
            "%s: is not applied, as nnUNetv2_predict does not; model tune %s --set 'postprocessing=…' does",
            clean_up,
            folder,
        )


def _provenance(plans: Plans, folds: Sequence[Fold], packaging: Packaging) -> Provenance:
    recipe = NnunetRecipe(
        trainer=folds[0].trainer,
        plans=plans.planned_by,
        configuration=plans.name,
        folds=" ".join(fold.name for fold in folds),
    )
    return packaging.provenance(recipe.line, data=plans.dataset, licence=plans.licence)
