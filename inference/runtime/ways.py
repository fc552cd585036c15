"""How each network of a bundle is run on a backend: which file, in which precision, with how much memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType

from inference.runtime.backends import Backend
from inference.runtime.memory_estimate import estimate_mb
from inference.runtime.precision import effective_precision
from model.arrays import Zyx
from model.bundle import ModelBundle
from model.manifest.network import Network, Precision
from model.manifest.window import AnyWindow
from model.onnx_header import OnnxFileError
from model.onnx_shapes import UnknownShapeError

MIB = 2.0**20
ACTIVATIONS_PER_VOXEL = 140
"""float32 values that a network holds at a time per voxel of its window where neither the bundle nor its
graph says; 136 measured with onnxruntime on a U-Net with 16 channels in the first stage."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a network of a bundle is run on a backend."""

    path: Path
    """File to load."""
    precision: Precision
    """Precision in which it is computed."""
    memory_mb: float
    """Loaded and running one window."""


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
        found[network.file] = Way(
            path=path,
            precision=precision,
            memory_mb=network_mb(given, backend, precision, path, len(bundle.manifest.inputs)),
        )
    return found


def largest_mb(networks: Mapping[str, Way], count: int) -> float:
    """What the `count` networks that need most take together."""
    return sum(sorted((way.memory_mb for way in networks.values()), reverse=True)[:count])


def network_mb(
    network: Network, backend: Backend, precision: Precision, path: Path, channels: int = 1
) -> float:
    """Memory of a network, loaded and running one window.

    As the manifest says of this way to run it; else as its graph says; else as the manifest says of another
    way; else by its window alone.
    """
    sizes = network.window
    stated: Mapping[str, float] = network.memory_mb or {}
    if isinstance(sizes, AnyWindow):
        stated = {way: line.mb(network.window_zyx) for way, line in (sizes.memory or {}).items()}
    # On CUDA the same library on the CPU is nearer than what is counted for it.
    nearest = ("onnxruntime-fp32",) if backend == "cuda" else ()
    for way in (f"{backend}-{precision}", f"{backend}-fp32", *nearest):
        if way in stated:
            return float(stated[way])
    try:
        return estimate_mb(path, (1, channels, *network.input_shape), f"{backend}-{precision}")
    except (OnnxFileError, OSError, UnknownShapeError):
        if "onnxruntime-fp32" in stated:
            return float(stated["onnxruntime-fp32"])
        return 2 * path.stat().st_size / MIB + prod(network.window_zyx) * 4 * ACTIVATIONS_PER_VOXEL / MIB
