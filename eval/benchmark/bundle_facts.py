"""Facts of a bundle, read from its `manifest.json` (version 2) independently of this project's own reader.

The plain pipeline does less than a manifest can say. What it does not do is refused by the name that the
manifest has for it, so that both programs compute the same. Localization, clean-up and the skipping of
windows of air are ignored: they belong to what is compared.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.eval_errors import JudgingError
from model.arrays import Zyx, ZyxMm

FORMAT_VERSION = 2
IMPORTANCE_FLOOR = 1e-3
"""Least importance of a voxel in MONAI's sliding window inferer, relative to the largest."""
DEFAULT_SIGMA = 0.125
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """One network of the ensemble and how it wants its input."""

    path: Path
    """The ONNX file."""
    spacing_zyx_mm: ZyxMm
    """Voxel size of the network's grid."""
    window_zyx: Zyx
    """Voxels that it sees at a time."""
    overlap: float
    """Share of a window that its neighbours cover again."""
    importance: str
    """How much a window's voxels count, by MONAI's name: `gaussian` or `constant`."""
    sigma: float
    """Standard deviation of the Gaussian as a share of the window's side."""
    interpolation: str
    """How the image is brought to the grid: `linear` or `area`."""
    lower_hu: float
    """Lower end of the range that values are clipped to."""
    upper_hu: float
    """Upper end."""
    shift_hu: float
    """What is subtracted after clipping."""
    scale_hu: float
    """What the rest is divided by."""


@dataclass(frozen=True, kw_only=True)
class BundleFacts:
    """A bundle of networks with softmax channels."""

    name: str
    members: tuple[MemberFacts, ...]
    channel_ids: tuple[int, ...]
    """Label id of each channel; a merged pair has that of its right side."""
    right_of: Mapping[int, int]
    """Id of each left structure whose pair is one channel, to that of the right one."""


class _UnknownPartError(Exception):
    """The manifest asks for what the plain pipeline does not do; the message says for what."""


def read_bundle(folder: Path) -> BundleFacts:
    """Read a bundle.

    Raises:
        JudgingError: there is none, or it asks for what the plain pipeline does not do.
    """
    path = folder / "manifest.json"
    try:
        manifest: Json = json.loads(path.read_text(encoding="utf-8"))
        return _facts(folder, manifest)
    except _UnknownPartError as error:
        raise JudgingError(f"{path}: {error}, which the plain pipeline does not know") from error
    except (OSError, ValueError) as error:
        raise JudgingError(f"{path}: cannot be read as a bundle's manifest ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise JudgingError(f"{path}: lacks {error}; is this a bundle?") from error


def _facts(folder: Path, manifest: Json) -> BundleFacts:
    _expect("format_version", manifest["format_version"], (FORMAT_VERSION,))
    if len(manifest["inputs"]) != 1:
        raise _UnknownPartError(f"has {len(manifest['inputs'])} inputs")
    _check_steps(manifest)
    weights = {float(member.get("weight", 1.0)) for member in manifest["members"]}
    if len(weights) > 1:
        raise _UnknownPartError("has members of different weight")
    output = manifest["output"]
    ids: dict[str, int] = {"background": 0, **output["labels"]}
    pairs = [pair for pair in output.get("pairs", []) if pair["merged"] in output["channels"]]
    right = {pair["merged"]: pair["right"] for pair in pairs}
    return BundleFacts(
        name=manifest["name"],
        members=tuple(_member(folder, manifest, index) for index in range(len(manifest["members"]))),
        channel_ids=tuple(ids[right.get(channel, channel)] for channel in output["channels"]),
        right_of={ids[pair["left"]]: ids[pair["right"]] for pair in pairs},
    )


def _check_steps(manifest: Json) -> None:
    """Refuse steps of the whole bundle that the plain pipeline lacks; what is left out has the default."""
    preprocessing, fusion = manifest.get("preprocessing", {}), manifest.get("fusion", {})
    _expect("preprocessing.orientation", preprocessing.get("orientation", "canonical"), ("canonical",))
    _expect("preprocessing.crop", preprocessing.get("crop", "none"), ("none",))
    _expect(
        "preprocessing.normalize", preprocessing.get("normalize", "after_resampling"), ("after_resampling",)
    )
    _expect("fusion.kind", fusion.get("kind", "mean"), ("mean",))
    _expect("fusion.of", fusion.get("of", "probabilities"), ("probabilities",))
    _expect("restoration.kind", manifest.get("restoration", {}).get("kind", "linear"), ("linear",))
    output = manifest["output"]
    _expect("output.activation.kind", output.get("activation", {}).get("kind", "softmax"), ("softmax",))
    if output.get("written_as"):
        raise _UnknownPartError("has output.written_as")


def _member(folder: Path, manifest: Json, index: int) -> MemberFacts:
    member, where = manifest["members"][index], f"members[{index}]"
    tiling: Json = member.get("tiling", {})
    importance: Json = tiling.get("importance", {"kind": "gaussian"})
    resampling: Json = member.get("resampling") or manifest.get("preprocessing", {}).get("resampling", {})
    _expect(f"{where}.axes", member.get("axes", "SPL"), ("SPL",))
    _expect(f"{where}.window.kind", member.get("window", {}).get("kind", "fixed"), ("fixed",))
    _expect(f"{where}.tiling.order.kind", tiling.get("order", {}).get("kind", "all"), ("all",))
    _expect(f"{where}.tiling.importance.kind", importance["kind"], ("gaussian", "constant"))
    _expect(
        f"{where}.tiling.importance.least", importance.get("least", IMPORTANCE_FLOOR), (IMPORTANCE_FLOOR,)
    )
    _expect(f"{where}: resampling.kind", resampling.get("kind", "linear"), ("linear", "area"))
    if tiling.get("mirror_axes"):
        raise _UnknownPartError(f"has {where}.tiling.mirror_axes")
    intensity: Json = (member.get("intensities") or [manifest["inputs"][0]["intensity"]])[0]
    _expect(f"{where}: intensity.kind", intensity["kind"], ("window", "clip_zscore"))
    lower, upper = float(intensity["lower"]), float(intensity["upper"])
    window = intensity["kind"] == "window"
    return MemberFacts(
        path=folder / member["file"],
        spacing_zyx_mm=tuple(member["spacing_zyx_mm"]),
        window_zyx=tuple(member["window_zyx"]),
        overlap=float(tiling.get("overlap", 0.5)),
        importance=importance["kind"],
        sigma=float(importance.get("sigma", DEFAULT_SIGMA)),
        interpolation=resampling.get("kind", "linear"),
        lower_hu=lower,
        upper_hu=upper,
        shift_hu=lower if window else float(intensity["mean"]),
        scale_hu=upper - lower if window else float(intensity["std"]),
    )


def _expect(name: str, value: object, known: Iterable[object]) -> None:
    if value not in known:
        raise _UnknownPartError(f"has {name} {value!r}")
