"""Another label set for a bundle: which of its structures is written as what.

The networks stay as they are: the table is applied after the winner is taken.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from model.labels import LabelSet, channel_ids, words_of
from model.manifest.clean_up import CleanUpStep
from model.manifest.document import Manifest
from model.manifest.fusion import CleanedGroupsFusion
from model.manifest.output import Output
from model.model_errors import BundleError


def read_table(path: Path) -> dict[str, str]:
    """A table from a network's structure, by name or id, to one of a label set.

        {"kidney_left": "left kidney", "5": "liver"}

    Raises:
        BundleError: it cannot be read, or is none.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise BundleError(f'{path}: must map structures to structures, e.g. {{"kidney_left": "left kidney"}}')
    return table


def same_names(output: Output, to: LabelSet) -> dict[str, str]:
    """A table of the structures that both call alike, whatever the order of the words.

    `kidney_left` is `left kidney`.
    """

    def unordered(name: str) -> tuple[str, ...]:
        return tuple(sorted(words_of(name)))

    known = {unordered(name): name for name in (*to.ids, *(pair.merged for pair in to.pairs))}
    return {name: known[unordered(name)] for name in output.structures if unordered(name) in known}


def relabelled(output: Output, to: LabelSet, table: Mapping[str, str]) -> Output:
    """What the channels mean when they are written as another label set; what is not named is dropped.

    Args:
        output: of a manifest.
        to: the label set.
        table: channel, or id that is written now, to structure or merged pair of `to`.

    Raises:
        BundleError: the table names what one of them has not, or nothing is left.
    """
    by_id = {
        str(output.labels[written]): channel
        for channel in output.structures
        if (written := output.structure_of(channel)) is not None and written in output.labels
    }
    written_as: dict[str, str | None] = dict.fromkeys(output.structures)
    for given, name in table.items():
        channel = given if given in written_as else by_id.get(given)
        if channel is None:
            known = ", ".join(output.structures)
            raise BundleError(f"the bundle has no structure {given}; it has {known}")
        try:
            channel_ids(to, name)
        except ValueError as error:
            raise BundleError(str(error)) from error
        written_as[channel] = name
    if not any(written_as.values()):
        raise BundleError(f"no structure of the bundle would be written as one of {to.name}; give a --map")
    return replace(
        output,
        label_set=to.name,
        labels=dict(to.ids),
        pairs=to.pairs,
        lesions=to.lesions,
        written_as={channel: name for channel, name in written_as.items() if name != channel},
    )


def with_output(manifest: Manifest, output: Output) -> Manifest:
    """The manifest with other labels of the same channels, which its clean-up names as they are written now.

    A step of which every structure is dropped goes; the others keep what is left.
    """
    names = _new_names(manifest.output, output)
    fusion = manifest.fusion
    if isinstance(fusion, CleanedGroupsFusion):
        own = {ensemble: _renamed(steps, names) for ensemble, steps in fusion.clean_up.items()}
        fusion = replace(fusion, clean_up=own)
    steps = _renamed(manifest.postprocessing, names)
    return replace(manifest, output=output, fusion=fusion, postprocessing=steps)


def _new_names(before: Output, after: Output) -> dict[str, list[str]]:
    """What each structure that was written is written as: nothing, one, or both sides of a pair."""
    names: dict[str, list[str]] = {}
    for channel in before.structures:
        old, new = _written(before, channel), _written(after, channel)
        for index, name in enumerate(old):
            # Right stays right, left stays left, unless one of the two label sets does not tell them apart.
            names.setdefault(name, []).extend(new[index : index + 1] if len(old) == len(new) else new)
    return names


def _written(output: Output, channel: str) -> Sequence[str]:
    labels, name = output.as_label_set(), output.structure_of(channel)
    return [] if name is None else [labels.name_of(label) for label in channel_ids(labels, name)]


def _renamed(steps: Iterable[CleanUpStep], names: Mapping[str, Sequence[str]]) -> tuple[CleanUpStep, ...]:
    left = []
    for step in steps:
        structures = dict.fromkeys(new for old in step.structures for new in names.get(old, ()))
        if structures:
            left.append(replace(step, structures=tuple(structures)))
    return tuple(left)
