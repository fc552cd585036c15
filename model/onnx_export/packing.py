"""From networks and what is stated about them to a bundle: files, precision, memory, hashes, manifest.

Used by everything that makes bundles: export of one's own checkpoints and importers of others' models.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar

from torch import nn

from model.arrays import F32
from model.bundle import ModelBundle, write_bundle
from model.manifest.document import Manifest
from model.manifest.network import Localization, Member, Network
from model.manifest.window import AnyWindow
from model.model_errors import BundleError, ModelError
from model.onnx_export.graph import OtherSizes, export_onnx
from model.onnx_export.half_precision import bf16_is_safe, export_fp16
from model.onnx_export.memory import with_memory
from model.units import MIB

NO_HASH = "0" * 64
"""Stands for the hash of a file that is not written yet."""

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Network)


@dataclass(frozen=True, kw_only=True)
class NetworkToPack(Generic[Kind]):
    """A torch network and what the manifest will say about it."""

    network: nn.Module
    """Evaluation output: one tensor of logits."""
    stated: Kind
    """Its entry in the manifest, without what packing finds out: `precision`, `fp16_file`, `memory_mb`."""
    windows: tuple[F32, ...]
    """Inputs to compare on, (1, in_channels, *stated.input_shape); the last one looks like an image."""
    other_sizes: tuple[F32, ...] = ()
    """For a member of any window: images of several other sizes, to compare on as well."""
    fp16: bool = True
    """Whether a second file is written that computes in fp16."""
    precision: Literal["fp32", "bf16"] | None = None
    """Lowest precision that is known to be safe; None: bf16 is tried."""
    exact: bool = False
    """Whether the file keeps weights as they are; else they are stored as half floats."""


MakeManifest = Callable[[tuple[Member, ...], Localization | None, Mapping[str, str]], Manifest]
"""Makes the manifest, given its networks and each file's SHA-256."""


def pack_bundle(
    folder: Path,
    members: Sequence[NetworkToPack[Member]],
    localization: NetworkToPack[Localization] | None,
    make_manifest: MakeManifest,
    *,
    overwrite: bool = False,
) -> ModelBundle:
    """Write a bundle of torch networks.

    Args:
        folder: where the bundle shall lie.
        members: of the ensemble, in order.
        localization: network that finds the region of interest, if there is one.
        make_manifest: makes the manifest of what was packed.
        overwrite: replace a bundle that is already there.

    Raises:
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `folder`, or manifest and files do not fit together; what the
            manifest refuses whatever the files hold is found before anything is exported.
    """
    region = None if localization is None else localization.stated
    check_manifest(folder, make_manifest, tuple(member.stated for member in members), region)
    packed: list[Member] = []
    found: list[Localization] = []

    def write_files(staged: Path) -> None:
        packed.extend(pack(member, staged) for member in members)
        found.extend(pack(item, staged) for item in (localization,) if item is not None)
        logger.info("checking files and manifest against each other")

    def describe(files: Mapping[str, str]) -> Manifest:
        return make_manifest(tuple(packed), found[0] if found else None, files)

    return write_bundle(folder, write_files, describe, overwrite=overwrite)


def check_manifest(
    folder: Path,
    make_manifest: MakeManifest,
    members: tuple[Member, ...],
    localization: Localization | None = None,
) -> None:
    """Find out before files are written, which takes minutes, what the manifest would refuse.

    Args:
        folder: where the bundle shall lie, for messages.
        make_manifest: makes the manifest.
        members: as far as they are known.
        localization: the same.

    Raises:
        BundleError: naming the field; or a more special error of `make_manifest`, as it is.
    """
    networks = members if localization is None else (*members, localization)
    files = {file: NO_HASH for network in networks for file in network.files.values()}
    try:
        make_manifest(members, localization, files)
    except ModelError:
        raise
    except ValueError as error:
        raise BundleError(f"{folder}: the manifest cannot be written: {error}") from error


def pack(item: NetworkToPack[Kind], folder: Path) -> Kind:
    """Write the files of one network; its entry in the manifest, complete.

    Raises:
        ParityError: onnxruntime and torch disagree.
        MeasurementError: its memory could not be measured.
    """
    stated, path = item.stated, folder / item.stated.file
    in_channels = item.windows[0].shape[1]
    others = None
    if isinstance(stated.window, AnyWindow):
        steps = stated.in_network_axes(stated.window.multiple_of_zyx)
        others = OtherSizes(multiple_of=steps, windows=item.other_sizes)
    parity = export_onnx(
        item.network, stated.input_shape, path, item.windows, in_channels, others, exact=item.exact
    )
    logger.info(
        "%s: %.1f MiB, onnxruntime's logits within %.1e of torch's, %.4f%% of voxels the same",
        path.name,
        path.stat().st_size / MIB,
        parity.largest_difference,
        100 * parity.agreement,
    )
    # Only on what looks like an image: in noise a trained network has no opinion, and near-ties flip.
    image = (*item.windows[-1:], *item.other_sizes)
    precision = item.precision
    if precision is None:
        logger.info("%s: trying bf16", path.name)
        precision = "bf16" if bf16_is_safe(item.network, image) else "fp32"
    fp16_file = None
    if item.fp16:
        beside = path.with_suffix(".fp16.onnx")
        logger.info("%s: trying fp16", path.name)
        if export_fp16(item.network, path, beside, image):
            fp16_file = Path(stated.file).with_suffix(".fp16.onnx").as_posix()
    logger.info("%s: may be computed in %s%s", path.name, precision, " and fp16" * bool(fp16_file))
    logger.info("%s: measuring memory", path.name)
    packed = with_memory(replace(stated, precision=precision, fp16_file=fp16_file), path, in_channels)
    memory_mb = packed.memory_mb or {}
    logger.info("%s: %s", path.name, ", ".join(f"{way} {mb} MiB" for way, mb in memory_mb.items()))
    return packed
