"""How much memory a network takes by each way to run it, measured by the engine's own program.

Only a fresh process shows what a network takes, and only the engine knows how it would run one. So this
starts a program of the engine's for each backend, one after the other, and reads the line that each prints:

    python -m inference.runtime.network_memory FILE --backend onnxruntime --allowed bf16
    {"onnxruntime-fp32": 360}
    python -m inference.runtime.network_memory FILE --backend openvino --allowed bf16
    {"openvino-bf16": 194}

The program measures in its own process and starts no other.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TypeVar

from model.arrays import Zyx
from model.manifest.network import Network, Precision
from model.manifest.window import LARGEST_SIDE, MVOXEL, AnyWindow, MemoryLine

Kind = TypeVar("Kind", bound=Network)

ROOT = Path(__file__).resolve().parents[2]
"""Folder in which `inference` can be found as a package."""
GROW_TO_MB = 1024
"""MiB that a measurement may take, as far as the one before it tells."""
MOST_SIZES = 6
"""Sizes of windows that memory is measured on."""
SLOPE_MARGIN = 1.05
"""By how much a line is steeper than what was measured, since it is followed beyond that."""
PROGRAM: Sequence[str] = (sys.executable, "-m", "inference.runtime.network_memory")
BACKENDS = ("onnxruntime", "openvino")
"""What runs networks on a CPU."""


class MeasurementError(ValueError):
    """A network's memory could not be measured. One line for the user."""


def with_memory(stated: Kind, path: Path, in_channels: int) -> Kind:
    """A network's entry in a manifest with its memory, where it takes any window as a line over voxels too.

    What was measured before by ways that this machine does not have stays.

    Args:
        stated: its entry.
        path: its ONNX file.
        in_channels: of its input.

    Raises:
        MeasurementError: it could not be measured.
    """
    own, before = stated.input_shape, dict(stated.memory_mb or {})
    if not isinstance(stated.window, AnyWindow):
        found = measure_memory(path, stated.precision, (1, in_channels, *own))
        return replace(stated, memory_mb=before | found)
    steps = stated.in_network_axes(stated.window.multiple_of_zyx)
    measured = measure_growing(path, stated.precision, in_channels, own, steps)
    lines = dict(stated.window.memory or {}) | lines_above(measured)
    return replace(stated, memory_mb=before | measured[own], window=replace(stated.window, memory=lines))


def measure_memory(path: Path, allowed: Precision, shape: Sequence[int] = ()) -> dict[str, int]:
    """Peak memory of loading a network and running windows, for the manifest (`Network.memory_mb`).

    Args:
        path: ONNX file.
        allowed: lowest precision in which it may be computed.
        shape: of its input; only needed where the file leaves sides open.

    Returns:
        MiB by way to run it, e.g. `openvino-bf16`.

    Raises:
        MeasurementError: the program failed, or its answer is not understood.
    """
    found: dict[str, int] = {}
    for backend in BACKENDS:
        words = [str(path.resolve()), "--backend", backend, "--allowed", allowed, "--shape", *map(str, shape)]
        ran = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False, cwd=ROOT)
        answer = _read_answer(ran.stdout) if ran.returncode == 0 else None
        if answer is None:
            reason = _why_none(ran).removeprefix(f"error: {path.resolve()}: ")
            raise MeasurementError(f"{path.name}: its memory with {backend} could not be measured ({reason})")
        found |= answer
    return found


def _read_answer(printed: str) -> dict[str, int] | None:
    """MiB by way, as the program prints them; None for anything else."""
    try:
        answer = json.loads(printed)
    except ValueError:
        return None
    understood = isinstance(answer, dict) and answer and all(type(mb) is int for mb in answer.values())
    return answer if understood else None


def _why_none(ran: "subprocess.CompletedProcess[str]") -> str:
    """Why a run of the program gave no answer: the last line of its complaint, or what it printed instead."""
    if ran.returncode == 0:
        return f"answer was {' '.join(ran.stdout.split())[:80]!r}"
    *_, last = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
    return last


def measure_growing(
    path: Path, allowed: Precision, channels: int, window: Zyx, multiple_of: Zyx
) -> dict[Zyx, dict[str, int]]:
    """Memory on windows from a network's own up, each of four times the voxels of the one before it.

    Where the next would take more than `GROW_TO_MB`, on its own and a smaller one.

    Args:
        path: ONNX file.
        allowed: lowest precision in which it may be computed.
        channels: of its input.
        window: the network's own, in its own axis order.
        multiple_of: what each side must be a multiple of.

    Returns:
        MiB by way to run it, by window, the smallest first.

    Raises:
        MeasurementError: see `measure_memory`.
    """
    sizes, found = [window], {window: measure_memory(path, allowed, (1, channels, *window))}
    while len(sizes) < MOST_SIZES and 4 * max(found[sizes[-1]].values()) < GROW_TO_MB:
        larger = _scaled(sizes[-1], 2.0, multiple_of)
        if max(larger) > LARGEST_SIDE:
            break
        found[larger] = measure_memory(path, allowed, (1, channels, *larger))
        sizes.append(larger)
    if len(sizes) == 1:
        smaller = _scaled(window, 0.5, multiple_of)
        found = {smaller: measure_memory(path, allowed, (1, channels, *smaller)), **found}
    return found


def _scaled(window: Zyx, factor: float, multiple_of: Zyx) -> Zyx:
    """A window whose two shortest sides, or two longest where it shrinks, are so many times as long."""
    order = sorted(range(3), key=lambda axis: window[axis], reverse=factor < 1)
    sides = [
        max(1, round(side * factor / step)) * step if axis in order[:2] else side
        for axis, (side, step) in enumerate(zip(window, multiple_of, strict=True))
    ]
    return sides[0], sides[1], sides[2]


def lines_above(found: Mapping[Zyx, Mapping[str, int]]) -> dict[str, MemoryLine]:
    """For each way to run a network, a line over a window's voxels that no measurement lies above.

    Its slope is that between the two largest windows, where a network's activations outweigh everything else,
    and `SLOPE_MARGIN` more.

    100 MiB at one million voxels and 300 at two, without margin: 200 MiB for each million and -100, of which
    there is no less than 0.

    Args:
        found: MiB by way, by window, two windows at least, of rising size.
    """
    *_, large, largest = found
    lines = {}
    for way in found[largest]:
        rise = (found[largest][way] - found[large][way]) / (prod(largest) - prod(large))
        slope = max(0.0, rise) * SLOPE_MARGIN
        fixed = max(mb[way] - slope * prod(window) for window, mb in found.items())
        lines[way] = MemoryLine(
            fixed_mb=round(max(0.0, fixed) + 0.05, 1), mb_per_mvoxel=round(slope * MVOXEL + 0.05, 1)
        )
    return lines
