"""Several bundles become one: the folds of a recipe, or the final models of several recipes.

Nothing is exported anew: networks are copied as they are, with what their manifests say of them.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, TypeVar

from model.bundle import MANIFEST, ModelBundle, write_bundle
from model.manifest.clean_up import CleanUpStep
from model.manifest.document import Manifest, Provenance
from model.manifest.fusion import (
    CleanedGroupsFusion,
    FirstThenOrgansFusion,
    Fusion,
    MeanFusion,
    RestoredEnsemblesFusion,
)
from model.manifest.network import Member, Network
from model.onnx_export.revision import git_revision
from training.bundling.description import Statement
from training.training_errors import ExportError

Fuse = Literal["cleaned", "members"]
"""`cleaned`: the members of each bundle are averaged and cleaned up, then the results are averaged (AMOS22,
large batches and large patches); where they average logits and clean nothing up, on the image's grid
(nnU-Net). `members`: all members are fused as if they had been exported together."""

Kind = TypeVar("Kind", bound=Network)


def join_bundles(
    folder: Path,
    bundles: Sequence[ModelBundle],
    statement: Statement,
    *,
    fuse: Fuse,
    weights: Sequence[float] | None = None,
    overwrite: bool = False,
) -> ModelBundle:
    """Write a bundle with the members of several.

    Args:
        folder: where it shall lie.
        bundles: at least two, in order; their networks lie in folders `1`, `2` … of the new one.
        statement: name, licence and use of the whole.
        fuse: how the members become one result.
        weights: share of each bundle as a whole, relative to the others; None: all the same.
        overwrite: replace a bundle that is already there.

    Raises:
        ExportError: the bundles do not go together; the manifest and its fields are named.
        BundleError: there is something else at `folder`.
    """
    check_alike(bundles, fuse)
    if fuse == "cleaned" and not _restored_apart(bundles):
        for bundle in bundles:
            check_cleanable(bundle)
    first = bundles[0].manifest
    shares = shares_of(bundles, weights)

    def write_files(staged: Path) -> None:
        for number, bundle in enumerate(bundles, start=1):
            region = bundle.manifest.localization if number == 1 else None  # All have the same.
            for network in (*bundle.manifest.members, *filter(None, [region])):
                for file in network.files.values():
                    target = staged / placed(number, file)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(bundle.folder / file, target)

    def make_manifest(files: Mapping[str, str]) -> Manifest:
        region = first.localization
        fusion, steps = _fusion(bundles) if fuse == "cleaned" else (first.fusion, first.postprocessing)
        return replace(
            first,
            name=statement.name,
            members=tuple(_members(bundles, shares, fuse)),
            fusion=fusion,
            postprocessing=steps,
            localization=None if region is None else _moved(region, 1),
            provenance=provenance_of_joined(bundles, statement),
            files=files,
        )

    return write_bundle(folder, write_files, make_manifest, overwrite=overwrite)


def check_alike(bundles: Sequence[ModelBundle], fuse: Fuse) -> None:
    """Refuse bundles whose manifests say different things where the new one can say only one.

    Raises:
        ExportError: naming the manifest and the field.
    """
    first, seen = bundles[0], {bundles[0].sha256}
    for bundle in bundles[1:]:
        path = bundle.folder / MANIFEST
        if bundle.sha256 in seen:
            raise ExportError(f"{path}: is there a second time; give each bundle once")
        seen.add(bundle.sha256)
        mine, others = said_once(first, fuse), said_once(bundle, fuse)
        apart = [name for name in mine if mine[name] != others[name]]
        if apart:
            raise ExportError(
                f"{path}: {', '.join(apart)} not as in {first.folder / MANIFEST}; bundles of an "
                "ensemble must agree; export them so, or leave one out"
            )


def said_once(bundle: ModelBundle, fuse: Fuse) -> dict[str, object]:
    """What a manifest says once for all of its members, by the name of the field."""
    manifest = bundle.manifest
    said: dict[str, object] = {
        f"output.{field.name}": getattr(manifest.output, field.name)
        for field in fields(manifest.output)
        if field.compare
    }
    said["inputs"] = [(channel.name, channel.modality) for channel in manifest.inputs]
    for name in ("orientation", "crop", "normalize"):
        said[f"preprocessing.{name}"] = getattr(manifest.preprocessing, name)
    said["restoration"] = manifest.restoration
    if fuse == "members":
        said |= {"fusion": manifest.fusion, "postprocessing": manifest.postprocessing}
    return said | {"localization": _region(bundle)}


def _restored_apart(bundles: Sequence[ModelBundle]) -> bool:
    """Whether bundles are joined as nnU-Net does: they average logits, and clean nothing up."""
    return all(
        bundle.manifest.fusion in (MeanFusion(of="logits"), RestoredEnsemblesFusion())
        and not bundle.manifest.postprocessing
        for bundle in bundles
    )


def check_cleanable(bundle: ModelBundle) -> None:
    """Refuse a bundle that has no one result of its own which could be cleaned up.

    Raises:
        ExportError: naming the manifest.
    """
    path, manifest = bundle.folder / MANIFEST, bundle.manifest
    if manifest.preprocessing.orientation != "canonical":
        raise ExportError(
            f"{path}: preprocessing.orientation is {manifest.preprocessing.orientation}, clean-up before the "
            "fusion needs canonical; join with --fuse members, which averages all members as one ensemble "
            "and cleans up afterwards"
        )
    if isinstance(manifest.fusion, FirstThenOrgansFusion) and len(manifest.members) > 1:
        raise ExportError(
            f"{path}: its members look at different parts of an image (fusion first_then_organs); join with "
            "--fuse members, or export it with --set inference.fusion='{kind: mean}'"
        )
    if isinstance(manifest.fusion, CleanedGroupsFusion) and len(_unnamed_groups(manifest)) > 1:
        raise ExportError(
            f"{path}: cleans up members of several grids or windows by themselves already; export each of "
            "these as a bundle of its own, and join all"
        )


def _unnamed_groups(manifest: Manifest) -> set[object]:
    """Grids and windows of the members that belong to no named ensemble."""
    unnamed = [member for member in manifest.members if member.ensemble is None]
    return {(member.spacing_zyx_mm, member.window_zyx, member.tiling) for member in unnamed}


def shares_of(bundles: Sequence[ModelBundle], weights: Sequence[float] | None) -> list[float]:
    """What the weights of each bundle's members are multiplied by.

    Five members of weight 1 and one of weight 1 count the same as wholes with 0.2 and 1. Where nothing is
    asked for and all bundles count the same already, weights stay as they are.

    Raises:
        ExportError: not one weight for each bundle.
    """
    totals = [sum(member.weight for member in bundle.manifest.members) for bundle in bundles]
    if weights is None:
        return [1.0] * len(bundles) if len(set(totals)) == 1 else [1 / total for total in totals]
    if len(weights) != len(bundles):
        raise ExportError(f"--weights: {len(weights)} given for {len(bundles)} bundles; give one for each")
    return [weight / total for weight, total in zip(weights, totals, strict=True)]


def _members(bundles: Sequence[ModelBundle], shares: Sequence[float], fuse: Fuse) -> Iterator[Member]:
    first = bundles[0].manifest
    for number, (bundle, share) in enumerate(zip(bundles, shares, strict=True), start=1):
        manifest = bundle.manifest
        for member in manifest.members:
            intensities, resampling = manifest.intensities_of(member), manifest.resampling_of(member)
            usual = tuple(channel.intensity for channel in first.inputs)
            yield replace(
                _moved(member, number),
                weight=member.weight * share,
                ensemble=_ensemble(number, member) if fuse == "cleaned" else member.ensemble,
                intensities=None if intensities == usual else intensities,
                resampling=None if resampling == first.preprocessing.resampling else resampling,
            )


def _fusion(bundles: Sequence[ModelBundle]) -> tuple[Fusion, tuple[CleanUpStep, ...]]:
    """Fusion and clean-up of a bundle whose parts are cleaned up first: each as it says itself."""
    if _restored_apart(bundles):
        return RestoredEnsemblesFusion(), ()
    steps = {
        _ensemble(number, member): bundle.manifest.clean_up_of(member.ensemble)
        for number, bundle in enumerate(bundles, start=1)
        for member in bundle.manifest.members
    }
    first = next(iter(steps.values()))
    if all(others == first for others in steps.values()):
        return CleanedGroupsFusion(), first
    return CleanedGroupsFusion(clean_up=steps), ()


def _ensemble(number: int, member: Member) -> str:
    """Name of the ensemble of a bundle; those that it joined before stay apart."""
    return str(number) if member.ensemble is None else f"{number}.{member.ensemble}"


def placed(number: int, file: str) -> str:
    """Where a file of the n-th bundle lies in the new one."""
    return f"{number}/{file}"


def _moved(network: Kind, number: int) -> Kind:
    fp16_file = None if network.fp16_file is None else placed(number, network.fp16_file)
    return replace(network, file=placed(number, network.file), fp16_file=fp16_file)


def _region(bundle: ModelBundle) -> object:
    """How a bundle finds the region of interest: the network by its hash, and without its measured memory."""
    manifest = bundle.manifest
    network = manifest.localization
    if network is None:
        return None
    stated = replace(
        network,
        file="network",
        fp16_file=None,
        memory_mb=None,
        intensities=manifest.intensities_of(network),
        resampling=manifest.resampling_of(network),
    )
    return stated, manifest.files[network.file]


def provenance_of_joined(bundles: Sequence[ModelBundle], statement: Statement) -> Provenance:
    """What a joined bundle is made of: each bundle with its hash and what it says of itself."""
    parts = [
        f"{bundle.manifest.name} (bundle sha256:{bundle.sha256}): {bundle.manifest.provenance.recipe}"
        for bundle in bundles
    ]
    return Provenance(
        recipe="; ".join(parts),
        git_revision=git_revision(),
        data="; ".join(dict.fromkeys(bundle.manifest.provenance.data for bundle in bundles)),
        licence=statement.licence,
        intended_use=statement.intended_use,
    )
