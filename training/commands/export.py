"""`python -m training export`: checkpoints become a bundle, if onnxruntime computes what torch computes."""

import argparse
import importlib.util
import logging
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import nn

from inference.runtime.network_memory import measure_network
from inference.runtime.session import Backend, Precision, effective_precision
from model.bundle import write_bundle
from model.labels import KIDNEYS, TUMOR
from model.manifest import Localization, Manifest, Member, Output, PairNames, PostProcessing, Provenance, Zyx
from model.networks.build import build
from model.onnx_export.graph import bf16_is_safe, export_fp16, export_onnx, synthetic_windows
from training.augmentation.patches import cut
from training.data.folders import CaseStore, labelled_cases
from training.recipes.recipe import INTERPOLATION, Recipe
from training.runs.checkpoints import RunInfo, load_checkpoint, load_weights
from training.training_errors import ExportError

LONGEST_RUN = ("liver", KIDNEYS.right, KIDNEYS.left, "spleen", "pancreas", "aorta")
"""Structures of which only the longest run of slices is kept (FLARE23 low-resource ensemble)."""
SMALLEST_TUMOR_VOXELS = 100
LOCALIZATION = "localization.onnx"
Keep = Literal["longest_1d", "largest_3d"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A checkpoint, ready to be exported."""

    path: Path
    network: nn.Module
    info: RunInfo

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by."""
        return self.info.recipe


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was found out about a network while it was exported: fields of `model.manifest.Network`."""

    precision: Precision
    """Lowest precision in which the CPU still computes the same."""
    fp16_file: str | None
    """Name of the file for GPUs that compute in fp16; None if there is none."""
    memory_mb: Mapping[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `export`."""
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="members of the ensemble, in order"
    )
    parser.add_argument(
        "--localization", type=Path, metavar="CHECKPOINT", help="network that finds the region of interest"
    )
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="data set whose first case is compared on as well (default: synthetic windows)",
    )
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--licence", default="not stated", help="licence of the weights")
    parser.add_argument(
        "--intended-use", default="Research only; not a medical device.", help="what the model is for"
    )
    parser.add_argument(
        "--keep",
        choices=get_args(Keep),
        default="longest_1d",
        help="of each organ: its longest run of slices (method of the FLARE23 ensemble) or largest connected part (default: %(default)s)",
    )
    parser.add_argument(
        "--no-fp16",
        action="store_true",
        help="leave out the second file of each member, with which GPUs compute in fp16",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")


def run(args: argparse.Namespace) -> None:
    """Export as the command line says.

    Raises:
        CheckpointError: a checkpoint is not usable.
        ExportError: the checkpoints do not make an ensemble.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        BundleError: there is something else at `--output`.
    """
    members = [load_trained(path) for path in args.checkpoints]
    localization = load_trained(args.localization) if args.localization else None
    check_ensemble(members, localization)
    files = {f"member-{i}.onnx": member for i, member in enumerate(members, start=1)}
    if localization is not None:
        files[LOCALIZATION] = localization
    exported: dict[str, Exported] = {}

    def write_files(folder: Path) -> None:
        # The localization network runs a few small windows: a second file would cost more than it saves.
        for file, trained in files.items():
            exported[file] = _export(
                trained, folder / file, args.data, fp16=not args.no_fp16 and file != LOCALIZATION
            )

    def network(file: str) -> dict[str, Any]:
        return _network(files[file].recipe, file) | vars(exported[file])

    def make_manifest(hashes: Mapping[str, str]) -> Manifest:
        return Manifest(
            name=args.name or args.output.name,
            modality="CT",
            output=output_of(members[0].recipe),
            members=tuple(Member(**network(file)) for file in files if file != LOCALIZATION),
            localization=Localization(**network(LOCALIZATION)) if localization else None,
            postprocessing=postprocessing_of(members[0].recipe, args.keep),
            provenance=provenance_of([*files.values()], args.licence, args.intended_use),
            files=hashes,
        )

    bundle = write_bundle(args.output, write_files, make_manifest, overwrite=args.overwrite)
    logger.info("done: %s", bundle.folder)


def load_trained(path: Path) -> Trained:
    """A checkpoint with its network built and filled.

    Raises:
        CheckpointError: it is missing, damaged or not one of ours.
    """
    tensors, info = load_checkpoint(path)
    network = build(info.recipe.network)
    load_weights(network, tensors, path)
    return Trained(path=path, network=network.eval(), info=info)


def check_ensemble(members: Sequence[Trained], localization: Trained | None) -> None:
    """Refuse members whose channels differ, and a localization network in the place of a member or the other way round.

    Raises:
        ExportError: naming the checkpoint.
    """
    first = members[0]
    for member in members:
        if member.recipe.channels == "foreground":
            raise ExportError(
                f"{member.path}: finds the foreground only (recipe {member.recipe.name}); give it with "
                "--localization"
            )
        if (member.recipe.label_set, member.recipe.channel_names) != (
            first.recipe.label_set,
            first.recipe.channel_names,
        ):
            raise ExportError(
                f"{member.path}: has other channels than {first.path}; members of an ensemble must agree"
            )
    if localization is not None and localization.recipe.channels != "foreground":
        raise ExportError(
            f"{localization.path}: names organs (recipe {localization.recipe.name}), so it does not serve "
            "for localization"
        )


def comparison_windows(recipe: Recipe, data: Path | None) -> tuple[NDArray[np.float32], ...]:
    """Inputs to compare on, each (1, 1, z, y, x): noise and a body, from the first case of a data set if one is given."""
    noise, body = synthetic_windows(recipe.patch_zyx)
    if data is None:
        return noise, body
    case = CaseStore(labelled_cases(data)[:1], recipe, cache_mb=0).load(0)
    middle = np.round(np.array(case.image.shape) / 2)
    return noise, cut(case, middle, recipe.patch_zyx, None)[0][None, None]


def output_of(recipe: Recipe) -> Output:
    """What the channels of a recipe mean."""
    labels = recipe.labels
    pairs = tuple(PairNames(merged=pair.merged, right=pair.right, left=pair.left) for pair in labels.pairs)
    return Output(label_set=labels.name, labels=dict(labels.ids), channels=recipe.channel_names, pairs=pairs)


def postprocessing_of(recipe: Recipe, keep: Keep) -> dict[str, PostProcessing]:
    """Clean-up for those structures that the label set has.

    `longest_1d` is that of the FLARE23 low-resource ensemble, for the organs that it names; `largest_3d`
    keeps one connected part of every organ; under either small tumors are removed as that ensemble does.
    """
    organs = LONGEST_RUN if keep == "longest_1d" else recipe.labels.organs
    steps = {name: PostProcessing(keep=keep) for name in organs}
    steps[TUMOR] = PostProcessing(min_voxels=SMALLEST_TUMOR_VOXELS)
    return {name: step for name, step in steps.items() if name in recipe.labels.ids}


def provenance_of(trained: Sequence[Trained], licence: str, intended_use: str) -> Provenance:
    """Where the networks of a bundle came from, each once."""
    recipes = [_origin(item) for item in trained]
    data = [item.info.data for item in trained]
    return Provenance(
        recipe=", ".join(dict.fromkeys(recipes)),
        git_revision=git_revision(),
        data="; ".join(dict.fromkeys(data)),
        licence=licence,
        intended_use=intended_use,
    )


def _origin(trained: Trained) -> str:
    """E.g. `demo (seed 0, 400 steps)`.

    With the hash of the checkpoint that its weights started from, if there was one.
    """
    info = trained.info
    start = f", from checkpoint sha256:{info.init_sha256}" if info.init_sha256 else ""
    return f"{info.recipe.name} (seed {info.seed}, {info.step} steps{start})"


def git_revision() -> str:
    """Commit of the source that is running, or `unknown` where there is no git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def measure_memory(path: Path, window_zyx: Zyx, precision: Precision) -> dict[str, int]:
    """Peak MiB of one window by way to run it on this machine's CPU, for the manifest (`Network.memory_mb`)."""
    ways: list[tuple[Backend, Precision]] = [("onnxruntime", "fp32")]
    if importlib.util.find_spec("openvino"):
        ways += [("openvino", way) for way in sorted({"fp32", effective_precision("openvino", precision)})]
    return {f"{backend}-{way}": measure_network(path, window_zyx, backend, way) for backend, way in ways}


def _export(trained: Trained, path: Path, data: Path | None, *, fp16: bool) -> Exported:
    """Write the files of one network, the second one only if `fp16` asks for it.

    Raises:
        ParityError: onnxruntime and torch disagree.
    """
    windows = comparison_windows(trained.recipe, data)
    parity = export_onnx(trained.network, trained.recipe.patch_zyx, path, windows)
    # Only on a body: in noise a trained network has no opinion, and near-ties flip.
    body = windows[1:]
    precision: Precision = "bf16" if bf16_is_safe(trained.network, body) else "fp32"
    beside = path.with_suffix(".fp16.onnx")
    has_fp16 = fp16 and export_fp16(trained.network, path, beside, body)
    logger.info(
        "%s: %.1f MiB, onnxruntime's logits within %.1e of torch's, %.4f%% of voxels the same; precision down to %s%s", path.name,
        path.stat().st_size / 2**20, parity.largest_difference, 100 * parity.agreement, precision,
        ", fp16 on GPUs" * has_fp16,
    )  # fmt: skip
    memory_mb = measure_memory(path, trained.recipe.patch_zyx, precision)
    return Exported(precision=precision, fp16_file=beside.name if has_fp16 else None, memory_mb=memory_mb)


def _network(recipe: Recipe, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "spacing_zyx_mm": recipe.spacing_zyx_mm,
        "window_zyx": recipe.patch_zyx,
        "intensity": recipe.intensity,
        "interpolation": INTERPOLATION,
    }
