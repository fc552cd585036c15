"""The channels that a bundle takes, as its manifest names them, and how DICOM files name what made them."""

from collections.abc import Mapping
from types import MappingProxyType

from inference.errors import InputError
from model.bundle import ModelBundle
from model.organ_counts import listed

DICOM_MODALITIES: Mapping[str, str] = MappingProxyType({"CT": "CT", "MR": "MR", "PET": "PT", "other": ""})
"""What a manifest calls a channel to how DICOM files name what made them."""


def expected_modalities(bundle: ModelBundle) -> tuple[str, ...]:
    """What a bundle takes its channels to be, as DICOM writes it; empty for one that may be anything."""
    return tuple(DICOM_MODALITIES[channel.modality] for channel in bundle.manifest.inputs)


def check_channels(count: int, bundle: ModelBundle) -> None:
    """Make sure that a case has as many channels as a bundle takes.

    Raises:
        InputError: it has fewer, or more.
    """
    names = [channel.name for channel in bundle.manifest.inputs]
    if count == len(names):
        return
    takes = f"this bundle takes {len(names)} channels, {listed(names)}: a file each, in this order"
    if len(names) == 1:
        takes = f"this bundle takes one, {names[0]}"
    if count < len(names):
        raise InputError(f"its case lacks {listed(names[count:])}; {takes}")
    raise InputError(f"its case has {count} channels; {takes}")
