"""The ids that an imported model writes itself, and those that its bundle writes in their place.

They are the same until `model labels` gives the bundle another label set.
"""

from dataclasses import dataclass

from model.labels import channel_ids
from model.manifest.document import Manifest
from model.manifest.output import Output
from model.model_errors import RefusedModelError

OTHERWISE = "give the model that it was imported from, or compare label maps with --against labels"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model that a bundle may have been imported from."""

    where: str
    """For messages."""
    data: str
    """What it was trained on, as an import writes it."""
    output: Output
    """What its channels mean, with the ids that it writes itself."""


def own_ids(source: Source, manifest: Manifest) -> dict[int, int]:
    """Id that the model writes itself to the id that the bundle writes there; 0 where it drops the structure.

    Of a model of liver 1 and spleen 2 whose bundle was given FLARE22's labels: `{1: 1, 2: 3}`.

    Args:
        source: the model.
        manifest: of the bundle.

    Raises:
        RefusedModelError: the bundle was imported from another model, or no id stands for one of the model's.
    """
    stated = manifest.provenance.data
    if stated != source.data:
        raise RefusedModelError(
            f"{source.where}: is a model of {source.data}, the bundle is of {stated}; {OTHERWISE}"
        )
    if source.output.channels != manifest.output.channels:
        theirs, ours = (", ".join(output.channels) for output in (source.output, manifest.output))
        raise RefusedModelError(f"{source.where}: has channels {theirs}, the bundle has {ours}; {OTHERWISE}")
    labels = manifest.output.as_label_set()
    ids = {}
    for channel in source.output.structures:
        name = manifest.output.structure_of(channel)
        written = (0,) if name is None else channel_ids(labels, name)
        if len(written) > 1:
            raise RefusedModelError(
                f"{source.where}: writes {channel} as one label, the bundle as right and left since it was "
                "relabelled; verify before relabelling"
            )
        ids[source.output.labels[channel]] = written[0]
    return ids
