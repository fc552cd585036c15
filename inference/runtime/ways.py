"""How each network of a bundle is run on a backend: which file, in which precision, with how much memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType

from inference.runtime.backends import Backend
from inference.runtime.memory_estimate import COSTS, estimate_mb
from inference.runtime.precision import effective_precision
from model.arrays import Zyx
from model.bundle import ModelBundle
from model.manifest.network import Network, Precision
from model.manifest.window import AnyWindow
from model.onnx_header import OnnxFileError
from model.onnx_shapes import UnknownShapeError
from model.units import MIB

ACTIVATIONS_PER_VOXEL = 140
"""float32 values that a network holds at a time per voxel of its window where neither the bundle nor its
graph says; 136 measured with onnxruntime on a U-Net with 16 channels in the first stage."""


MOST_OVER_STATED = 4.0
"""How many times what a bundle states its graph may be counted to take, before the bundle is not believed.
Counts are good to about a quarter for networks of convolutions; those of single values alone, which libraries
fuse, may be measured at a third."""
SLACK_MB = 60.0
"""By how much more besides: what libraries take whatever the network differs among machines."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a network of a bundle is run on a backend."""

    path: Path
    """File to load."""
    precision: Precision
    """Precision in which it is computed."""
    memory_mb: float
    """Loaded and running one window."""
    understated_mb: float | None = None
    """What the manifest states of it, where that is not believed; None where it is, or states nothing."""


def ways(
    bundle: ModelBundle,
    backend: Backend,
    forced: Precision | None,
    windows: Mapping[str, Zyx] = MappingProxyType({}),
) -> dict[str, Way]:
    """How each network of a bundle is run, by its file.

    Args:
        bundle: the networks.
        backend: what runs them.
        forced: overrides the precision that the manifest allows; None does not.
        windows: that networks are given instead of `window_zyx`, by file.
    """
    found = {}
    for network in bundle.manifest.networks().values():
        path, precision = bundle.path_of(network), effective_precision(backend, forced or network.precision)
        fp16_path = bundle.fp16_path_of(network)
        if backend == "cuda" and forced is None and fp16_path is not None:
            path, precision = fp16_path, "fp16"
        given = replace(network, window_zyx=windows.get(network.file, network.window_zyx))
        memory_mb = network_mb(given, backend, precision, path, len(bundle.manifest.inputs))
        stated = _stated_mb(given, backend, precision)
        found[network.file] = Way(
            path=path,
            precision=precision,
            memory_mb=memory_mb,
            understated_mb=None if stated == memory_mb else stated,
        )
    return found


def largest_mb(networks: Mapping[str, Way], count: int) -> float:
    """What the `count` networks that need most take together."""
    return sum(sorted((way.memory_mb for way in networks.values()), reverse=True)[:count])


def network_mb(
    network: Network, backend: Backend, precision: Precision, path: Path, channels: int = 1
) -> float:
    """Memory of a network, loaded and running one window.

    As the manifest says of this way to run it, unless its graph says far more; else as its graph says; else
    as the manifest says of another way; else by its window alone.
    """
    stated, way = _stated_mb(network, backend, precision), f"{backend}-{precision}"
    try:
        counted = estimate_mb(path, (1, channels, *network.input_shape), way)
    except (OnnxFileError, OSError, UnknownShapeError):
        if stated is not None:
            return stated
        other = _stated(network)
        if "onnxruntime-fp32" in other:
            return float(other["onnxruntime-fp32"])
        return 2 * path.stat().st_size / MIB + prod(network.window_zyx) * 4 * ACTIVATIONS_PER_VOXEL / MIB
    if stated is None:
        return counted
    # What other ways take was not fitted, so that nothing can be said against a measurement.
    over = way in COSTS and counted > MOST_OVER_STATED * stated + SLACK_MB
    return counted if over else stated


def _stated(network: Network) -> Mapping[str, float]:
    """What the manifest says of the network's window, in MiB by way to run it."""
    sizes = network.window
    if isinstance(sizes, AnyWindow):
        return {way: line.mb(network.window_zyx) for way, line in (sizes.memory or {}).items()}
    return network.memory_mb or {}


def _stated_mb(network: Network, backend: Backend, precision: Precision) -> float | None:
    """The same of one way, or of one that takes no less; None where the manifest says nothing of either."""
    stated = _stated(network)
    # On CUDA the same library on the CPU is nearer than what is counted for it.
    nearest = ("onnxruntime-fp32",) if backend == "cuda" else ()
    for way in (f"{backend}-{precision}", f"{backend}-fp32", *nearest):
        if way in stated:
            return float(stated[way])
    return None


def understated(bundle: ModelBundle, backend: Backend, forced: Precision | None) -> str:
    """What the user should know of a bundle whose statements of memory are not believed; empty otherwise.

    Args:
        bundle: the networks.
        backend: what runs them.
        forced: as for `ways`.
    """
    doubted = [
        f"{file} ({way.understated_mb:.0f} MiB, counted {way.memory_mb:.0f})"
        for file, way in ways(bundle, backend, forced).items()
        if way.understated_mb is not None
    ]
    if not doubted:
        return ""
    return (
        f"the bundle states far less memory than the graphs of its networks take: {', '.join(doubted)}; "
        f"plans go by the graphs; measure it with python -m model measure {bundle.folder}"
    )
