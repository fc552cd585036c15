"""What a bundle holds, on one screen: inputs, members, windows, memory, labels, and where it comes from.

exit codes: 0 shown; 2 no usable bundle
"""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from model.bundle import ModelBundle, load_bundle
from model.case_names import printable
from model.manifest.clean_up import CleanUpStep
from model.manifest.document import Input, Manifest
from model.manifest.fusion import CleanedGroupsFusion, fused_scores
from model.manifest.network import AXES, Member, Network
from model.manifest.window import AnyWindow, Use

VERIFICATION = "verification.json"
"""What `verify` leaves in a bundle."""
NARROWEST, WIDEST = 40, 110
"""Columns of the text: the terminal's if between these; the widest where there is no terminal."""
WINDOWS: Mapping[Use, str] = {
    "largest": "larger windows too, up to the whole region",
    "fitted": "no larger windows than a short region needs",
    "own": "no other windows, though the network takes them",
}
"""What a network that takes any window is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `show`."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")


def run(arguments: argparse.Namespace) -> int:
    """Print what a bundle holds.

    Raises:
        BundleError: it is none, or damaged.
    """
    sys.stdout.write("\n".join(describe(load_bundle(arguments.bundle))) + "\n")
    return 0


def describe(bundle: ModelBundle) -> list[str]:
    """Lines for a person."""
    manifest = bundle.manifest
    return [
        _line("bundle", f"{manifest.name} ({bundle.sha256[:12]})"),
        *(_line("input", _input(each)) for each in manifest.inputs),
        _line("preprocessing", _preprocessing(manifest)),
        *(line for member in manifest.members for line in _network(bundle, "member", member)),
        *([] if manifest.localization is None else _network(bundle, "localization", manifest.localization)),
        _line("fusion", f"{manifest.fusion.kind} of {fused_scores(manifest.fusion)}"),
        _line("restoration", manifest.restoration.kind),
        *_labels(manifest),
        *_clean_up(manifest),
        *(_line(name, text) for name, text in vars(manifest.provenance).items()),
        *_verified(bundle),
    ]


def _input(channel: Input) -> str:
    """Its name, what its values are, and how they become a network's input, with every figure."""
    figures = asdict(channel.intensity)
    scheme = figures.pop("kind")
    if "lower" in figures:
        unit = " HU" if channel.modality == "CT" else ""
        scheme += f" {figures.pop('lower'):g} to {figures.pop('upper'):g}{unit}"
    more = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}".removesuffix(" True")
        for name, value in figures.items()
        if value is not False
    ]
    return f"{channel.name} (modality {channel.modality}): {', '.join([scheme, *more])}"


def _verified(bundle: ModelBundle) -> list[str]:
    """What `verify` found, if it was run since the manifest was written."""
    try:
        found: Mapping[str, Any] = json.loads((bundle.folder / VERIFICATION).read_text(encoding="utf-8"))
        if found["bundle_sha256"] != bundle.sha256:
            return [_line("verified", "not since its manifest was changed")]
        compared = found["contenders"][1]
        cases = [list(each["dice"].values()) for each in compared["agreement"].values()]
        dice = mean(mean(scores) if scores else 1.0 for scores in cases)
        count = f"{len(cases)} case{'s' * (len(cases) > 1)}"
        ids = sorted(
            {number for each in compared["agreement"].values() for number in each.get("left_out", [])}
        )
        without = f", without ids {', '.join(map(str, ids))}, which are not written" if ids else ""
        return [_line("verified", f"mean Dice {dice:.5f} with {found['against']}, {count}, fp32{without}")]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return []


def _preprocessing(manifest: Manifest) -> str:
    steps = manifest.preprocessing
    parts = [f"{steps.resampling.kind} resampling", steps.normalize.replace("_", " ")]
    crop = [] if steps.crop == "none" else [f"cropped to {steps.crop}"]
    return ", ".join([f"{steps.orientation} orientation", *crop, parts[0], f"normalized {parts[1]}"])


def _network(bundle: ModelBundle, what: str, network: Network) -> list[str]:
    megabytes = bundle.path_of(network).stat().st_size / 1e6
    spacing = "×".join(
        "own" if axis in network.kept_spacing else f"{mm:g}"
        for axis, mm in zip(AXES, network.spacing_zyx_mm, strict=True)
    )
    window = "×".join(map(str, network.window_zyx))
    lines = [_line(what, f"{network.file}, {megabytes:.1f} MB: {window} voxels of {spacing} mm (z, y, x)")]
    if network.kept_within is not None:
        low, high = network.kept_within
        lines.append(_line("", f"an image's own voxel size is kept from {low:g} to {high:g} of these"))
    if isinstance(network, Member):
        tiling = network.tiling
        mirrored = f", mirrored {' '.join(tiling.mirror_axes)}" if tiling.mirror_axes else ""
        windows = f"{tiling.order.kind} windows, overlap {tiling.overlap:.0%}, {tiling.importance.kind}"
        joined = f"; of ensemble {network.ensemble}" if network.ensemble else ""
        lines.append(_line("", f"{windows}{mirrored}{joined}"))
        if isinstance(network.window, AnyWindow):
            steps = "×".join(map(str, network.window.multiple_of_zyx))
            lines.append(_line("", f"{WINDOWS[network.window.use]}, in steps of {steps} voxels"))
    memory = ", ".join(f"{way} {mb} MiB" for way, mb in (network.memory_mb or {}).items())
    fp16 = f"; on GPUs {network.fp16_file}" if network.fp16_file else ""
    lines.append(_line("", f"{network.precision} allowed{fp16}; {memory or 'memory not measured'}"))
    return lines


def _labels(manifest: Manifest) -> list[str]:
    output = manifest.output
    labels = output.as_label_set()
    ids = ", ".join(f"{labels.ids[name]} {name}" for name in labels.names)
    lines = [_line("channels", output.channels_in_words), _line("labels", f"{labels.name}: {ids}")]
    if output.priority_in_words:
        lines.insert(1, _line("", f"where several are on: {output.priority_in_words}"))
    split = [pair.merged for pair in output.pairs if pair.merged in output.structures]
    if split:
        lines.append(_line("", f"split into right and left: {', '.join(split)}"))
    if output.lesions:
        lines.append(_line("", f"lesions: {', '.join(output.lesions)}"))
    if output.written_as:
        lines.append(_line("", f"written: {output.written_in_words}"))
    if output.dropped:
        lines.append(_line("", f"channels dropped: {', '.join(output.dropped)}"))
    return lines


def _clean_up(manifest: Manifest) -> list[str]:
    parts = {"clean-up": manifest.postprocessing}
    if isinstance(manifest.fusion, CleanedGroupsFusion):
        parts |= {f"of ensemble {name}": steps for name, steps in manifest.fusion.clean_up.items()}
    organs = manifest.output.as_label_set().organs
    return [
        _line(where, f"{kind}: {'; '.join(_of_step(step, organs) for step in alike)}")
        for where, steps in parts.items()
        for kind, alike in groupby(steps, key=lambda step: step.kind)
    ]


def _of_step(step: CleanUpStep, organs: Sequence[str]) -> str:
    """Its structures, and the figures that it goes by."""
    names = "all organs" if set(step.structures) == set(organs) else ", ".join(step.structures)
    figures = {
        name: value for name, value in asdict(step).items() if isinstance(value, int | float) and value
    }
    said = [name if value is True else f"{name} {value:g}" for name, value in figures.items()]
    return names + (f" ({', '.join(said)})" if said else "")


def _line(name: str, text: str) -> str:
    head = f"{name.replace('_', ' '):<14} "
    columns = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 0)).columns))
    indent = " " * len(head)
    return textwrap.fill(printable(text), columns, initial_indent=head, subsequent_indent=indent)
