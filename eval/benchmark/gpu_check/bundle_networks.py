"""The networks of a bundle, read from its `manifest.json` independently of this project's own reader."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.eval_errors import JudgingError

AXES = {"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}
"""Letter of a network's axis to the axis z, y, x that it runs along."""
UNIT_SCALED = "window"
"""Kind of intensity that makes values from 0 to 1; others make them spread about 0."""


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A network and what it is given."""

    path: Path
    """The ONNX file in fp32."""
    fp16_path: Path | None
    """The same in fp16; None if the bundle has none."""
    shape: tuple[int, ...]
    """Of a window: (1, channels, and the sides in the network's own axis order)."""
    unit_scaled: bool
    """Whether its input lies between 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class CheckedBundle:
    """A bundle to check."""

    name: str
    """In tables."""
    folder: Path
    channels: int
    """Images of a case."""
    networks: tuple[NetworkFile, ...]
    """Members, and the localization network; a file that several share counts once."""


def read_networks(folder: Path) -> CheckedBundle:
    """Read what a bundle's manifest says of its networks.

    Raises:
        JudgingError: there is no bundle.
    """
    path = folder / "manifest.json"
    try:
        manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        inputs = manifest["inputs"]
        found = [*manifest["members"], *([manifest["localization"]] if manifest.get("localization") else [])]
        networks = {network["file"]: _network(folder, network, inputs) for network in found}
    except (OSError, ValueError) as error:
        raise JudgingError(f"{path}: cannot be read as a bundle's manifest ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise JudgingError(f"{path}: lacks {error}; is this a bundle?") from error
    return CheckedBundle(
        name=str(manifest.get("name") or folder.name),
        folder=folder.resolve(),
        channels=len(inputs),
        networks=tuple(networks.values()),
    )


def _network(folder: Path, network: Mapping[str, Any], inputs: list[Mapping[str, Any]]) -> NetworkFile:
    window, half = network["window_zyx"], network.get("fp16_file")
    intensities = network.get("intensities") or [each["intensity"] for each in inputs]
    return NetworkFile(
        path=folder.resolve() / network["file"],
        fp16_path=folder.resolve() / half if half else None,
        shape=(1, len(inputs), *(int(window[AXES[axis]]) for axis in network.get("axes", "SPL"))),
        unit_scaled=all(each["kind"] == UNIT_SCALED for each in intensities),
    )
