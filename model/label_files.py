"""A user's own label set, from a file beside the data: `labels.json`, or nnU-Net's `dataset.json`.

    {"name": "abdomen", "labels": {"liver": 1, "right kidney": 2, "left kidney": 3, "cyst": 4},
     "pairs": [{"merged": "kidney", "right": "right kidney", "left": "left kidney"}], "lesions": ["cyst"]}

`labels` maps structures to ids, background 0 may be among them; `pairs` and `lesions` may be left out, and
may stand in a `dataset.json` too. nnU-Net's regions (a list of ids for a structure) take their ids from
`regions_class_order`: those that predictions have. Label maps to train on hold others.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.labels import BACKGROUND, LABEL_SETS, LabelSet, Pair
from model.model_errors import LabelSetError, NoLabelsError, RegionsError
from model.schema import SchemaError, parse

FILES = ("labels.json", "dataset.json")
"""Names under which a label set is looked for in a folder, the first one first."""
IGNORE = "ignore"
"""nnU-Net's name for voxels that nobody annotated; no structure."""


def find_label_set(name_or_path: str | Path, *, regions: bool = True) -> LabelSet:
    """A built-in label set by its name, or one from a file, or from a folder that holds such a file.

    Args:
        name_or_path: e.g. `flare23`, `labels.json`, `data/train`.
        regions: whether it may be one of regions, with the ids of predictions.

    Raises:
        RegionsError: it is one of regions, and must not be.
        LabelSetError: neither a known name nor a usable file.
    """
    known = LABEL_SETS.get(str(name_or_path))
    return read_label_set(find_label_file(name_or_path), regions=regions) if known is None else known


def find_label_file(path: str | Path) -> Path:
    """The file that states a user's own label set: the path itself, or the first of `FILES` in a folder.

    Raises:
        LabelSetError: there is none.
    """
    given = Path(path)
    if given.is_file():
        return given
    if not given.is_dir():
        names = ", ".join(LABEL_SETS)
        raise LabelSetError(f"{path}: no label set of this name and no file; known are {names}")
    found = next((given / name for name in FILES if (given / name).is_file()), None)
    if found is None:
        raise LabelSetError(f"{path}: holds no {' or '.join(FILES)} that would state a label set")
    return found


def read_label_set(path: Path, *, regions: bool = True) -> LabelSet:
    """The label set that a file states; `regions` as for `find_label_set`.

    Raises:
        NoLabelsError: it states none.
        RegionsError: it is one of regions, and must not be.
        LabelSetError: it cannot be read, or is faulty.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LabelSetError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(document, Mapping) or not isinstance(document.get("labels"), Mapping):
        raise NoLabelsError(f'{path}: states no label set; "labels" must map structures to ids')
    region = next((name for name, ids in document["labels"].items() if isinstance(ids, list)), None)
    if region is not None and not regions:
        raise RegionsError(
            f"{path}: {region} is a region of several ids, but a voxel of a label map holds one id; state a "
            f"structure for each id in {path.with_name(FILES[0])}"
        )
    try:
        return _label_set(document, default_name=path.absolute().parent.name)
    except (SchemaError, ValueError) as error:
        raise LabelSetError(f"{path}: {error}") from error


def ignored_id(path: Path) -> int | None:
    """The id by which a file of nnU-Net marks voxels that nobody annotated; None where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = _by_name(document["labels"]).get(IGNORE)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _by_name(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Name to id, also from the older form, which turns names and ids around."""
    if all(key.isdecimal() for key in labels):
        return {str(name): int(key) for key, name in labels.items()}
    return dict(labels)


def _label_set(document: Mapping[str, Any], default_name: str) -> LabelSet:
    stated = _by_name(document["labels"])
    labels = {name: ids for name, ids in stated.items() if name.casefold() not in (BACKGROUND, IGNORE)}
    if any(isinstance(ids, list) for ids in labels.values()):
        labels = _regions(labels, document.get("regions_class_order"))
    ids = {name: _whole(name, label_id) for name, label_id in labels.items()}
    pairs, lesions = document.get("pairs", []), document.get("lesions", [])
    if not isinstance(pairs, list):
        raise SchemaError("pairs: must be a list of merged, right and left names")
    if not isinstance(lesions, list):
        raise SchemaError("lesions: must be a list of structures")
    return LabelSet(
        name=str(document.get("name", default_name)),
        ids=ids,
        pairs=tuple(parse(Pair, pair, f"pairs[{i}]") for i, pair in enumerate(pairs)),
        lesions=tuple(str(lesion) for lesion in lesions),
    )


def _regions(labels: Mapping[str, Any], order: object) -> dict[str, Any]:
    """Regions with the ids that are written for them, as nnU-Net does: the n-th region by the n-th id."""
    if not isinstance(order, list) or len(order) != len(labels):
        raise SchemaError("regions_class_order: must be a list of one id for each region")
    return dict(zip(labels, order, strict=True))


def _whole(name: str, label_id: object) -> int:
    if not isinstance(label_id, int) or isinstance(label_id, bool):
        raise SchemaError(f"labels.{name}: must be a whole number, is {label_id!r}")
    return label_id
