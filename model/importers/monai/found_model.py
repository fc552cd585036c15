"""A trained model of MONAI, wherever it was found."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.importers.foreign_fields import Place
from model.importers.monai.transform_chain import Chain

NETWORK = "network"
"""Name of the only network of a model-zoo bundle."""


@dataclass(frozen=True, kw_only=True)
class FoundMember:
    """One trained network."""

    name: str
    """Name of its file, without the ending."""
    chain: Chain
    """What is done with an image."""
    checkpoint: Place


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """Networks whose probabilities are averaged, and what is known of them."""

    members: tuple[FoundMember, ...]
    name: str
    modality: str
    """As MONAI names it, e.g. `ct`."""
    input_names: Mapping[int, str]
    """Name of a channel of the image, as far as they are known."""
    output_names: Mapping[int, str]
    """Name of a channel of the output, as far as they are known."""
    recipe: str
    """How it was trained."""
    data: str
    """What it was trained on."""
