"""`python -m training untrained`: a bundle with random weights, to measure time and memory of networks that nobody has trained here."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from model.bundle import ModelBundle, write_bundle
from model.labels import BACKGROUND, FLARE22
from model.manifest import Intensity, Manifest, Member, Output, Provenance, Zyx, ZyxMm
from model.networks.plain_unet import FLARE22_SMALL, PlainUNetSpec, build_plain_unet
from model.onnx_export.graph import export_onnx, synthetic_windows
from training.commands.export import git_revision, measure_memory

WINDOW_ZYX: Zyx = (32, 128, 192)
SPACING_ZYX_MM: ZyxMm = (4.0, 1.2, 1.2)
INTENSITY = Intensity(scheme="clip_zscore", lower=-160.0, upper=240.0, mean=80.0, std=60.0)
"""Of the order of what abdominal organs have; untrained weights know no better."""
FILE = "member-1.onnx"
SPREAD = 0.1
"""Deviation of norms and biases from what they begin as, so that no two of them are the same and one stands
for the other in the file."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `untrained`."""
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")


def run(args: argparse.Namespace) -> None:
    """Write the small network of the FLARE22 winner as a bundle.

    Raises:
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        BundleError: there is something else at `--output`.
    """
    bundle = write_untrained(args.output, FLARE22_SMALL, WINDOW_ZYX, seed=args.seed, overwrite=args.overwrite)
    logger.info("done: %s", bundle.folder)


def write_untrained(
    folder: Path, spec: PlainUNetSpec, window_zyx: Zyx, *, seed: int, overwrite: bool = False
) -> ModelBundle:
    """Write a bundle of one plain U-Net with random weights for the first channels of FLARE22.

    Raises:
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        BundleError: there is something else at `folder`.
    """
    network = random_network(spec, seed)
    memory: dict[str, int] = {}

    def write_files(staged: Path) -> None:
        export_onnx(network, window_zyx, staged / FILE, synthetic_windows(window_zyx))
        memory.update(measure_memory(staged / FILE, window_zyx, "bf16"))

    def make_manifest(files: Mapping[str, str]) -> Manifest:
        # A trained network of this kind proved safe in bf16; one that has no opinion anywhere cannot be
        # asked.
        member = Member(
            file=FILE, spacing_zyx_mm=SPACING_ZYX_MM, window_zyx=window_zyx, intensity=INTENSITY, precision="bf16", memory_mb=memory
        )  # fmt: skip
        return Manifest(
            name="untrained plain U-Net",
            modality="CT",
            output=_output(spec.out_channels),
            members=(member,),
            provenance=Provenance(
                recipe=f"random weights, seed {seed}",
                git_revision=git_revision(),
                data="none",
                licence="CC0",
                intended_use="Measuring time and memory; what it finds means nothing.",
            ),
            files=files,
        )

    return write_bundle(folder, write_files, make_manifest, overwrite=overwrite)


def random_network(spec: PlainUNetSpec, seed: int) -> nn.Module:
    """A network with random weights that half floats hold exactly, so that storing them so changes nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_plain_unet(spec)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 1:
                    parameter.add_(SPREAD * torch.randn_like(parameter))
                parameter.copy_(parameter.half().float())
    return network.eval()


def _output(channels: int) -> Output:
    names = tuple(FLARE22.names)[: channels - 1]
    return Output(
        label_set=FLARE22.name,
        labels={name: FLARE22.ids[name] for name in names},
        channels=(BACKGROUND, *names),
    )
