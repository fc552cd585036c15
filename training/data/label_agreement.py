"""Whether data sets and a recipe mean the same structures by the same ids of label maps.

What a data set states beside its cases (`labels.json`, or nnU-Net's `dataset.json`) is held against the
recipe's label set: where they disagree, structures would be trained under the names of others, and nothing
in the voxels would show it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.label_files import FILES, IGNORE, find_label_file, ignored_id, read_label_set
from model.labels import LabelSet
from model.model_errors import LabelSetError, NoLabelsError
from training.data_place import DATASET, folder_of
from training.recipes.recipe import FOREGROUND, Channels
from training.training_errors import RecipeError

TAKE_OWN = (
    "take the data's own with --set label_set=data, or, where only words differ, state the recipe's words in "
    "labels.json"
)
WORDS: Mapping[str, str] = {
    **{"ivc": "inferior vena cava", "postcava": "inferior vena cava", "arota": "aorta"},
    **{"rag": "right adrenal gland", "lag": "left adrenal gland"},
    **{"oesophagus": "esophagus", "tumour": "tumor", "urinary": "", "or": ""},
    **{"lesion": "tumor", "cancer": "tumor", "tumors": "tumor", "r": "right", "l": "left"},
    **{"rkid": "right kidney", "lkid": "left kidney", "rkidney": "right kidney", "lkidney": "left kidney"},
    **{"rad": "right adrenal gland", "lad": "left adrenal gland", "gall": "gallbladder"},
    **{"eso": "esophagus", "sto": "stomach"},
}
"""Words of the files that come with FLARE, AMOS22, BTCV, TotalSegmentator and the Medical Segmentation
Decathlon, and British spelling, to those of our label sets."""


def refuse_other_names(folders: Sequence[Path], labels: LabelSet, outputs: Channels) -> None:
    """Refuse data that state other names for the recipe's ids, other ids for its names, or ids it lacks.

    Args:
        folders: data sets, or datalists, the first one first: `label_set: data` means its label set.
        labels: the recipe's label set.
        outputs: what its network's channels stand for.

    Raises:
        RecipeError: naming the file, the first id and what to do; or a fault of the file.
    """
    for folder in folders:
        found = disagreement(folder, labels, outputs)
        if found is not None:
            raise RecipeError(f"{found}; {_remedy(folder, folders, labels, outputs)}")


def faults_of_names(data: Path, labels: LabelSet | None, outputs: Channels) -> list[str]:
    """The same as a fault of one data set: a line, or none.

    Without a label set it is looked whether the data state ids of label maps at all.
    """
    try:
        if labels is None:
            _stated_names(data)
            return []
        found = disagreement(data, labels, outputs)
    except RecipeError as error:
        return [str(error)]
    return [] if found is None else [f"{found}; {TAKE_OWN}"]


def disagreement(data: Path, labels: LabelSet, outputs: Channels) -> str | None:
    """The first id on which a data set and a label set disagree; None where there is none.

    Such as "own/dataset.json: says that 1 is organ a, label set flare22 that it is liver; 2 ids differ".

    Spellings count as the same (`kidney_right`, `Right Kidney`), and where left and right are one channel, so
    does the name of both. A network for the whole foreground tells no structures apart. The label set may
    have structures that the data do not state, but not the other way round.

    Raises:
        RecipeError: the data's own label set is faulty, or one of regions.
    """
    stated = _stated_names(data)
    apart = [one for one in sorted(stated) if not _agrees(one, stated[one], labels, outputs)]
    if not apart:
        return None
    first = apart[0]
    known = labels.names_by_id
    there = next((one for name, one in labels.ids.items() if same_name(name, stated[first])), None)
    if first in known:
        said = f"{first} is {stated[first]}, label set {labels.name} that it is {known[first]}"
    elif there is None:
        said = f"{first} is {stated[first]}, an id that label set {labels.name} lacks"
    else:
        said = f"{stated[first]} is {first}, label set {labels.name} that it is {there}"
    count = f"{len(apart)} ids differ" if len(apart) > 1 else "1 id differs"
    return f"{find_label_file(folder_of(data))}: says that {said}; {count}"


def _stated_names(data: Path) -> dict[int, str]:
    """Id to what a data set calls it, with voxels to be ignored among them; empty where it states nothing.

    Raises:
        RecipeError: its label set is faulty, or one of regions.
    """
    labels = label_set_beside(data)
    if labels is None:
        return {}
    names = labels.names_by_id
    ignored = ignored_id(find_label_file(folder_of(data)))
    return names if ignored is None else {**names, ignored: IGNORE}


def label_set_beside(data: Path) -> LabelSet | None:
    """The label set that lies beside a data set; None where there is none.

    Raises:
        RecipeError: it is faulty, or one of regions.
    """
    folder = folder_of(data)
    if not any((folder / file).is_file() for file in FILES):
        return None
    file = find_label_file(folder)
    try:
        return read_label_set(file, regions=False)
    except LabelSetError as error:
        if isinstance(error, NoLabelsError) and file.name == DATASET:
            return None  # It may serve as a datalist alone.
        raise RecipeError(str(error)) from error


def place_of_labels(data: Path, labels: LabelSet) -> str:
    """Where a label set that data are used with is stated: the file beside these, or its name.

    Raises:
        RecipeError: the data's own label set is faulty, or one of regions.
    """
    beside = label_set_beside(data) == labels
    return str(find_label_file(folder_of(data))) if beside else f"label set {labels.name}"


def doubts_of_lesions(labels: LabelSet, place: str) -> list[str]:
    """A line where structures that sound like lesions are stated as organs; none where there are none.

    Args:
        labels: the label set.
        place: where it is stated, for the line.
    """
    names = labels.perhaps_lesions
    if not names:
        return []
    all_of_them = json.dumps([*labels.lesions, *names], ensure_ascii=False)
    return [
        f"{place}: `lesions` does not name {', '.join(names)}: clean-up may keep the largest part alone, and "
        f'pseudo-labels may be made, as of organs; if that is wrong, state "lesions": {all_of_them} there'
    ]


def _agrees(label_id: int, name: str, labels: LabelSet, outputs: Channels) -> bool:
    """Whether a label set takes an id for what the data call it.

    One that it lacks would end a run as soon as a label map holds it, also where structures are one channel.
    """
    known = labels.names_by_id.get(label_id)
    if name == IGNORE:
        return known is None
    if known is None:
        return False
    if outputs == FOREGROUND:
        return True
    accepted = [known]
    if outputs == "merged":
        accepted += [pair.merged for pair in labels.pairs if known in (pair.right, pair.left)]
    return any(same_name(name, one) for one in accepted)


def same_name(name: str, other: str) -> bool:
    """Whether two names are of the same structure, whoever wrote them.

    >>> same_name("kidney_right", "right kidney")
    True
    """
    return _key(name) == _key(other)


def _key(name: str) -> tuple[str, ...]:
    """The same for the same structure, whoever writes its name.

    >>> _key("Kidney_Right") == _key("right kidney"), _key("gall bladder") == _key("gallbladder")
    (True, True)
    """
    words = " ".join(re.split(r"[\W_]+", name.casefold())).replace("gall bladder", "gallbladder").split()
    # Each word once: "Inferior Vena Cava (IVC)" says the same twice.
    return tuple(sorted({each for word in words for each in WORDS.get(word, word).split()}))


def _remedy(folder: Path, folders: Sequence[Path], labels: LabelSet, outputs: Channels) -> str:
    """What to do about a folder that disagrees with a label set.

    The label set of the first folder helps where it is not the recipe's already and all the others share it.
    """
    own = label_set_beside(folders[0])
    if own is None:
        return f"renumber {folder} as label set {labels.name}"
    if disagreement(folders[0], labels, outputs) is None:
        return f"renumber {folder} as {folders[0]}"
    odd = next((other for other in folders[1:] if disagreement(other, own, outputs) is not None), None)
    return TAKE_OWN if odd is None else f"renumber {odd} as {folders[0]}, and {TAKE_OWN}"
