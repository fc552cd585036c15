"""Whether a bundle may label a data set: the same ids for the same structures, and the same kind of image."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from model.bundle import ModelBundle
from model.label_files import find_label_set
from model.labels import LabelSet, channel_ids
from model.model_errors import LabelSetError
from training.data_place import DATASET, folder_of
from training.training_errors import DataError, RecipeError
from training.whole_files import read_json

MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PET", "PT": "PET"}
"""What a channel is called in `dataset.json`, in capitals, to the modality that it certainly is."""


def labels_of(data: Path, given: str | None, bundle: ModelBundle) -> LabelSet:
    """The label set of a data set, where what the data or the bundle calls a lesion is one.

    nnU-Net's `dataset.json` names no lesions unless somebody added them, the bundle's manifest does.

    Args:
        data: its folder, or a datalist.
        given: a label set by name or file, instead of the one that the data states.
        bundle: that is to label it.

    Raises:
        RecipeError: there is no such label set.
        DataError: the bundle has other ids for the same structures, or other structures for the same ids.
    """
    try:
        labels = find_label_set(given or folder_of(data), regions=False)
    except LabelSetError as error:
        raise RecipeError(f"{error}; give --label-set") from error
    found = bundle.manifest.output.as_label_set()
    names = labels.names_by_id
    for name, label_id in found.ids.items():
        stated = labels.ids.get(name)
        if label_id != stated and (stated is not None or label_id in names):
            here = f"{name} is {stated}" if stated is not None else f"{label_id} is {names[label_id]}"
            raise DataError(
                f"{bundle.folder}: is of another label set ({found.name}: {name} is {label_id}) than {data} "
                f"({labels.name}: {here}); give a bundle of the same"
            )
    lesions = [name for name in found.lesions if name in labels.ids and name not in labels.lesions]
    return replace(labels, lesions=(*labels.lesions, *lesions))


def organs_found(bundle: ModelBundle) -> tuple[str, ...]:
    """The organs that a bundle's networks have channels for, in the order of their ids."""
    output = bundle.manifest.output
    labels = output.as_label_set()
    written = [output.structure_of(channel) for channel in output.structures]
    found = {label_id for name in written if name is not None for label_id in channel_ids(labels, name)}
    return tuple(name for name in labels.organs if labels.ids[name] in found)


def refuse_lacking(bundle: ModelBundle, missing: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a bundle that does not find what is to be filled in.

    Args:
        bundle: that is to label.
        missing: case to the organs that it lacks.

    Raises:
        DataError: naming the first organ that the bundle does not find.
    """
    known = set(organs_found(bundle))
    for case, organs in missing.items():
        for organ in organs:
            if organ not in known:
                raise DataError(
                    f"{bundle.folder}: does not find {organ}, which case {case} does not annotate; give a "
                    "bundle that does"
                )


def refuse_other_modality(bundle: ModelBundle, *folders: Path) -> None:
    """Refuse images that `dataset.json` calls something else than the bundle takes; without it, nothing.

    Args:
        bundle: that is to label.
        folders: where `dataset.json` may lie; the first one counts.

    Raises:
        DataError: another number of channels, or a channel of another modality.
    """
    path = next((folder / DATASET for folder in folders if (folder / DATASET).is_file()), None)
    names = [] if path is None else stated_channels(path)
    if not names:
        return
    inputs = bundle.manifest.inputs
    if len(names) != len(inputs):
        raise DataError(f"{path}: has {len(names)} channel(s), bundle {bundle.folder} takes {len(inputs)}")
    for index, (name, wanted) in enumerate(zip(names, inputs, strict=True)):
        modality = MODALITIES.get(name.upper())
        certain = modality is not None and wanted.modality != "other"
        # To nnU-Net, too, whatever is not called CT is something else.
        differs = modality != wanted.modality if certain else "CT" in (modality, wanted.modality)
        if differs and name != wanted.name:
            raise DataError(
                f"{path}: channel {index} is {name}, bundle {bundle.folder} takes {wanted.modality} there; "
                "give images or a bundle of the same modality"
            )


def stated_channels(path: Path) -> tuple[str, ...]:
    """What a `dataset.json` calls its channels, in order; empty where it does not say.

    nnU-Net v2 says it under `channel_names`, version 1 and the Decathlon under `modality`.

    Raises:
        DataError: it cannot be read as JSON.
    """
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    stated = None
    if isinstance(document, dict):
        stated = document.get("channel_names", document.get("modality"))
    if not isinstance(stated, dict) or not all(key.isdecimal() for key in stated):
        return ()
    return tuple(str(stated[key]) for key in sorted(stated, key=int))
