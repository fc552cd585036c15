"""What `dataset.json`, or the datalist given, says of a data set: its cases and its name.

The form is that of MONAI and of the Medical Segmentation Decathlon: `"training": [{"image": …, "label": …}]`,
whose entries may have a `"fold"`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.data.found_cases import CaseFiles, Found
from training.data.named_images import case_beside, stem_of
from training.data_place import document_of, folder_of
from training.training_errors import DataError
from training.whole_files import read_json


def data_name(data: Path) -> str:
    """What a data set calls itself in its `dataset.json` or the datalist given; else its folder's name."""
    name = folder_of(data).name
    try:
        document = read_json(document_of(data))
    except (OSError, ValueError):
        return name
    return str(document.get("name", name)) if isinstance(document, dict) else name


def listed_entries(path: Path) -> Sequence[object] | None:
    """The entries of a datalist; None where there is none.

    Args:
        path: the datalist, or a folder that may hold one as `dataset.json`.

    Raises:
        DataError: it cannot be read, or a file that was given lists no cases.
    """
    file = document_of(path)
    if not file.is_file():
        return None
    try:
        document = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    listed = document.get("training") if isinstance(document, dict) else None
    if isinstance(listed, list) and listed:
        return listed
    if path.is_dir():
        return None
    raise DataError(f'{file}: no data set (it lists no "training" cases)')


def cases_in_list(base: Path, listed: Sequence[object]) -> Found:
    """Cases of a datalist, and what is amiss with it and its files.

    Args:
        base: the datalist's folder, to which paths in it are relative.
        listed: its entries.
    """
    cases: dict[str, CaseFiles] = {}
    faults = []
    for number, entry in enumerate(listed):
        files = _entry(entry)
        if files is None:
            faults.append(f'{base}: training[{number}] must read {{"image": file, "label": file}}')
            continue
        images, labels = tuple(base / image for image in files[0]), base / files[1]
        missing = [path for path in (*images, labels) if not path.exists()]
        faults += [f"{path}: missing, though the datalist names it" for path in missing]
        name = case_beside(stem_of(images[0]), (stem_of(labels),))[0]
        if name in cases:
            faults.append(f"{images[0]}: second entry of case {name} in the datalist; keep one")
        elif not missing:
            cases[name] = CaseFiles(name=name, images=images, labels=labels, fold=fold_of(entry))
    return Found(cases=tuple(cases.values()), faults=tuple(faults))


def _entry(entry: object) -> tuple[list[str], str] | None:
    """The images and the labels of a datalist's entry; None where it does not read so."""
    if not isinstance(entry, Mapping):
        return None
    images, labels = entry.get("image"), entry.get("label")
    listed = [images] if isinstance(images, str) else images
    if not isinstance(labels, str) or not isinstance(listed, list) or not listed:
        return None
    return (listed, labels) if all(isinstance(image, str) for image in listed) else None


def fold_of(entry: object) -> int | None:
    """The fold of a datalist's entry; None where it has none."""
    fold = entry.get("fold") if isinstance(entry, Mapping) else None
    return fold if isinstance(fold, int) and not isinstance(fold, bool) and fold >= 0 else None
