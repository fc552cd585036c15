"""Which ids a trained model of MONAI writes itself, to find out whether a bundle was imported from it."""

from collections.abc import Sequence
from pathlib import Path

from model.importers.monai.after_network import after_of, output_of
from model.importers.monai.importing import channel_names, find_monai
from model.importers.own_ids import Source
from model.manifest.output import Output


def monai_source(given: Path, folds: Sequence[str], checkpoint: str | None, imported: Output) -> Source:
    """What a model says of its labels.

    Args:
        given: see `import_monai`.
        folds: see `import_monai`.
        checkpoint: see `import_monai`.
        imported: of the bundle, whose number of channels counts as far as the model does not state its own.

    Raises:
        RefusedModelError: it is no such model.
    """
    model = find_monai(given, folds, checkpoint)
    chain = model.members[0].chain
    heads = max(len(imported.channels), *(index + 1 for index in model.output_names), 0)
    activation = after_of(chain, resampled=any(step.name == "Spacing" for step in chain.before)).activation
    output = output_of(channel_names(model, heads), model.name, activation, chain.where)
    return Source(where=str(given), data=model.data, output=output)
