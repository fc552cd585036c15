"""What networks are estimated to take in memory beside what they take, as the table of `docs/benchmarks.md`.

    python -m tests.inference.runtime.memory_table FOLDER

Networks of many kinds are built with random weights, exported to FOLDER and measured by
`inference.runtime.network_memory`, each way in a process of its own; some minutes. What lies in FOLDER
already is not made or measured again. Cells are estimate / measurement = ratio, MiB; the estimate's figures
were fitted to the networks whose names are not bold.
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from monai.networks.nets import AttentionUnet, BasicUNet, DynUNet, SegResNet, UNet
from torch import nn

from inference.runtime.memory_estimate import estimate_mb
from model.arrays import Zyx
from model.manifest.network import Precision
from model.networks.build import build
from model.networks.spec import NetworkSpec, SegResNetSpec
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec, SEUNetSpec
from model.onnx_export.graph import write_onnx
from model.onnx_export.half_precision import store_weights_as_half
from model.onnx_export.memory import measure_memory
from tests.places import ROOT

HALVES: tuple[Zyx, ...] = ((2, 2, 2),) * 4
FLAT_FIRST: tuple[Zyx, ...] = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
EMBEDDED = ROOT / "bundles" / "default"
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")


class Example(NamedTuple):
    """A network, and the window that it is measured on."""

    network: Callable[[], nn.Module] | Path
    """Builds it; or its file."""
    window_zyx: Zyx
    channels: int = 1
    any_window: bool = False
    held_out: bool = False
    """Whether the estimate's figures were fitted without it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its input."""
        return (1, self.channels, *self.window_zyx)


def of_spec(spec: NetworkSpec) -> Callable[[], nn.Module]:
    """Builds a network of our own."""
    return lambda: build(spec)


def segresnet(
    filters: int, blocks: tuple[int, ...] = (1, 2, 2, 4, 4), out: int = 14
) -> Callable[[], nn.Module]:
    """Builds `SegResNetDS`."""
    return of_spec(SegResNetSpec(out_channels=out, init_filters=filters, blocks_down=blocks, dsdepth=1))


def plain(
    features: tuple[int, ...], strides: tuple[Zyx, ...] = HALVES, channels: int = 1, out: int = 14
) -> Callable[[], nn.Module]:
    """Builds nnU-Net's `PlainConvUNet`."""
    return of_spec(PlainUNetSpec(in_channels=channels, out_channels=out, features=features, strides=strides))


def residual(features: tuple[int, ...], blocks: tuple[int, ...], out: int = 14) -> Callable[[], nn.Module]:
    """Builds nnU-Net's `ResidualEncoderUNet`."""
    strides = HALVES[: len(features) - 1]
    return of_spec(
        ResidualUNetSpec(out_channels=out, features=features, strides=strides, encoder_blocks=blocks)
    )


def seunet(filters: int, out: int = 10) -> Callable[[], nn.Module]:
    """Builds LAMP's network."""
    return of_spec(SEUNetSpec(out_channels=out, init_filters=filters))


def monai_unet(
    features: tuple[int, ...], channels: int = 1, out: int = 14, norm: str = "instance"
) -> Callable[[], nn.Module]:
    """Builds MONAI's residual `UNet`."""
    strides = (2,) * (len(features) - 1)
    return lambda: UNet(3, channels, out, features, strides, num_res_units=2, norm=norm)


WIDE, NARROW = (32, 64, 128, 256, 320), (8, 16, 32, 64, 128)
EXAMPLES = {
    "embedded": Example(EMBEDDED / "member-1.onnx", (48, 112, 144)),
    "embedded, larger": Example(EMBEDDED / "member-1.onnx", (96, 112, 144), held_out=True),
    "embedded localization": Example(EMBEDDED / "localization.onnx", (64, 64, 64), held_out=True),
    "segresnet-8": Example(segresnet(8), (96, 96, 96)),
    "segresnet-8-small": Example(segresnet(8), (32, 48, 48)),
    "segresnet-16-open": Example(segresnet(16, (1, 2, 2, 4)), (64, 96, 128), any_window=True),
    "segresnet-32": Example(segresnet(32), (80, 96, 96)),
    "plain-wide": Example(plain(WIDE), (48, 128, 128)),
    "plain-wide-flat": Example(plain(WIDE, FLAT_FIRST), (28, 128, 128), held_out=True),
    "plain-narrow": Example(plain(NARROW, out=15), (96, 128, 128)),
    "plain-15-channels": Example(plain(NARROW, channels=15), (48, 96, 96), channels=15),
    "residual-narrow": Example(residual((16, 32, 64, 128), (1, 3, 4, 6), out=3), (64, 128, 128)),
    "seunet-8": Example(seunet(8), (96, 128, 128)),
    "monai-unet": Example(monai_unet((16, 32, 64, 128, 256)), (96, 96, 96)),
    "monai-unet-small": Example(monai_unet((32, 64, 128, 256), 4, 2, "batch"), (48, 64, 64), channels=4),
    "monai-segresnet": Example(lambda: SegResNet(3, 16, 1, 14), (64, 96, 96)),
    "segresnet-24": Example(segresnet(24, (1, 2, 2, 4), out=2), (64, 80, 96), held_out=True),
    "plain-open": Example(plain((16, 32, 64, 128, 256)), (48, 96, 128), any_window=True, held_out=True),
    "15-channels": Example(plain((16, 32, 64, 128, 256), channels=15), (32, 96, 96), 15, held_out=True),
    "residual": Example(residual((24, 48, 96, 192), (1, 2, 3, 4)), (48, 96, 112), held_out=True),
    "basic-unet": Example(lambda: BasicUNet(3, 1, 14), (64, 96, 96), held_out=True),
    "attention": Example(
        lambda: AttentionUnet(3, 1, 4, (16, 32, 64, 128), (2, 2, 2)), (64, 96, 96), held_out=True
    ),
    "dynunet": Example(
        lambda: DynUNet(3, 1, 14, [3] * 5, [1, 2, 2, 2, 2], [2] * 4), (64, 96, 96), held_out=True
    ),
}


def made(name: str, example: Example, folder: Path) -> Path:
    """A network's file, exported as bundles have it, with weights in half floats, unless it is there."""
    if isinstance(example.network, Path):
        return example.network
    path = folder / f"{name}.onnx"
    if not path.exists():
        torch.manual_seed(0)
        multiple_of = (16, 16, 16) if example.any_window else None
        write_onnx(example.network().eval(), example.shape, path, multiple_of)
        store_weights_as_half(path)
    return path


def row(name: str, example: Example, path: Path, measured: Mapping[str, int]) -> str:
    """One line of the table."""
    window = "×".join(map(str, example.window_zyx))
    cells = [f"**{name}**" if example.held_out else name, f"{example.channels}×{window}"]
    for way, mb in measured.items():
        estimate = estimate_mb(path, example.shape, way)
        cells.append(f"{estimate:.0f} / {mb} = {estimate / mb:.2f}")
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Make, measure and print."""
    logging.disable()
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    figures = folder / "measured.json"
    known = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    for name, example in EXAMPLES.items():
        path = made(name, example, folder)
        if name not in known:
            ways = [measure_memory(path, precision, example.shape) for precision in PRECISIONS]
            known[name] = dict(sorted({way: mb for found in ways for way, mb in found.items()}.items()))
            figures.write_text(json.dumps(known, indent=1))
        if name == next(iter(EXAMPLES)):
            sys.stdout.write(f"| network | channels×window | {' | '.join(known[name])} |\n")
            sys.stdout.write(f"|{' --- |' * (2 + len(known[name]))}\n")
        sys.stdout.write(row(name, example, path, known[name]))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
