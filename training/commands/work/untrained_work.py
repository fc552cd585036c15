"""What `python -m training untrained` does."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from model.arrays import Zyx, ZyxMm
from model.bundle import ModelBundle
from model.labels import BACKGROUND, FLARE22
from model.manifest.document import Input, Manifest, Provenance
from model.manifest.intensity import ClipZscoreIntensity
from model.manifest.network import Localization, Member
from model.manifest.output import Output
from model.networks.build import build
from model.networks.spec import NetworkSpec
from model.networks.unet_specs import PlainUNetSpec
from model.onnx_export.packing import NetworkToPack, pack_bundle
from model.onnx_export.parity import synthetic_windows
from model.onnx_export.revision import git_revision

FLARE22_SMALL = PlainUNetSpec(
    out_channels=14,
    features=(16, 32, 64, 128, 256),
    strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
)
"""The small network of the FLARE22 winner: windows of 32×128×192, 134 GFLOP each, 5.65 M parameters
(published: 136 G and 5.4 M)."""
WINDOW_ZYX: Zyx = (32, 128, 192)
SPACING_ZYX_MM: ZyxMm = (4.0, 1.2, 1.2)
INTENSITY = ClipZscoreIntensity(lower=-160.0, upper=240.0, mean=80.0, std=60.0)
"""About what abdominal organs have; untrained weights know no better."""
FILE = "member-1.onnx"
SPREAD = 0.1
"""Deviation of norms and biases from what they begin as, so that no two of them are the same and one stands
for the other in the file."""

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Write the small network of the FLARE22 winner as a bundle.

    Raises:
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: its memory could not be measured.
        BundleError: there is something else at `--output`.
    """
    bundle = write_untrained(
        arguments.output, FLARE22_SMALL, WINDOW_ZYX, seed=arguments.seed, overwrite=arguments.overwrite
    )
    logger.info("done: %s", bundle.folder)
    return 0


def write_untrained(
    folder: Path, spec: NetworkSpec, window_zyx: Zyx, *, seed: int, overwrite: bool = False
) -> ModelBundle:
    """Write a bundle of one network with random weights for the first channels of FLARE22.

    Raises:
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: its memory could not be measured.
        BundleError: there is something else at `folder`.
    """
    member = NetworkToPack(
        network=random_network(spec, seed),
        stated=Member(file=FILE, spacing_zyx_mm=SPACING_ZYX_MM, window_zyx=window_zyx),
        windows=synthetic_windows(window_zyx, spec.in_channels),
        fp16=False,
        # A trained network of this kind proved safe; one that has no opinion anywhere cannot be asked.
        precision="bf16",
    )

    def make_manifest(
        members: tuple[Member, ...], _: Localization | None, files: Mapping[str, str]
    ) -> Manifest:
        return Manifest(
            name=f"untrained {spec.kind}",
            inputs=(Input(name="CT", modality="CT", intensity=INTENSITY),),
            output=_output(spec.out_channels),
            members=members,
            provenance=Provenance(
                recipe=f"random weights, seed {seed}",
                git_revision=git_revision(),
                data="none",
                licence="CC0",
                intended_use="Measuring time and memory; what it finds means nothing.",
            ),
            files=files,
        )

    return pack_bundle(folder, [member], None, make_manifest, overwrite=overwrite)


def random_network(spec: NetworkSpec, seed: int) -> nn.Module:
    """A network with random weights that half floats hold exactly, so that storage changes nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(spec)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 1:
                    parameter.add_(SPREAD * torch.randn_like(parameter))
                parameter.copy_(parameter.half().float())
    return network.eval()


def _output(channels: int) -> Output:
    names = FLARE22.names[: channels - 1]
    return Output(
        label_set=FLARE22.name,
        labels={name: FLARE22.ids[name] for name in names},
        channels=(BACKGROUND, *names),
    )
