"""What the benchmark needs to know of a bundle, read from its `manifest.json` as any outsider would."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.eval_errors import JudgingError
from model.arrays import Zyx, ZyxMm


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """One network of the ensemble and how it wants its input."""

    path: Path
    spacing_zyx_mm: ZyxMm
    window_zyx: Zyx
    overlap: float
    importance: str
    interpolation: str
    lower_hu: float
    upper_hu: float
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


def read_bundle(folder: Path) -> BundleFacts:
    """Read a bundle.

    Raises:
        JudgingError: there is none, or it asks for what the plain pipeline does not do.
    """
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _facts(folder, manifest)
    except (OSError, ValueError) as error:
        raise JudgingError(f"{path}: cannot be read as a bundle's manifest ({error})") from error
    except (KeyError, TypeError) as error:
        raise JudgingError(f"{path}: lacks {error}; is this a bundle?") from error


def _facts(folder: Path, manifest: dict[str, Any]) -> BundleFacts:
    output = manifest["output"]
    if output["activation"] != "softmax":
        raise JudgingError(
            f"{folder}: has {output['activation']} channels; the plain pipeline knows softmax only"
        )
    ids: dict[str, int] = {"background": 0, **output["labels"]}
    right = {pair["merged"]: pair["right"] for pair in output["pairs"]}
    merged = [pair for pair in output["pairs"] if pair["merged"] in output["channels"]]
    return BundleFacts(
        name=manifest["name"],
        members=tuple(_member(folder, member) for member in manifest["members"]),
        channel_ids=tuple(ids[right.get(channel, channel)] for channel in output["channels"]),
        right_of={ids[pair["left"]]: ids[pair["right"]] for pair in merged},
    )


def _member(folder: Path, member: dict[str, Any]) -> MemberFacts:
    intensity, where = member["intensity"], folder / member["file"]
    if member["axes"] != "SPL" or member["mirror_axes"] or member["interpolation"] not in ("linear", "area"):
        raise JudgingError(
            f"{where}: has turned or mirrored axes or cubic interpolation, which the plain pipeline does not "
            "know"
        )
    lower, upper = float(intensity.get("lower", 0)), float(intensity.get("upper", 0))
    if intensity["scheme"] == "window":
        shift, scale = lower, upper - lower
    elif intensity["scheme"] == "clip_zscore":
        shift, scale = float(intensity["mean"]), float(intensity["std"])
    else:
        raise JudgingError(
            f"{where}: has intensity {intensity['scheme']}, which the plain pipeline does not know"
        )
    return MemberFacts(
        path=where,
        spacing_zyx_mm=tuple(member["spacing_zyx_mm"]),
        window_zyx=tuple(member["window_zyx"]),
        overlap=float(member["overlap"]),
        importance=member["importance"],
        interpolation=member["interpolation"],
        lower_hu=lower,
        upper_hu=upper,
        shift_hu=shift,
        scale_hu=scale,
    )
