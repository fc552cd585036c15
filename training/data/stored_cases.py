"""Which cases a prepared store holds."""

from pathlib import Path

from training.data.annotations import read_annotations
from training.data.datalist import fold_of
from training.data.found_cases import CaseFiles, Found
from training.data_place import STORE
from training.training_errors import DataError
from training.whole_files import read_json


def cases_in_store(folder: Path) -> Found:
    """Cases of a prepared store; what it says of them was checked when they were prepared.

    Raises:
        DataError: the store is damaged.
    """
    try:
        document = read_json(folder / STORE)
        names = [str(name) for name in document["cases"]]
        folds = dict(document.get("folds") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / STORE}: is damaged; prepare the data anew") from error
    annotated, given, faults = read_annotations(folder, names)
    cases = [
        CaseFiles(
            name=name,
            images=(),
            labels=folder / "cases" / f"{name}.labels.b2nd",
            annotated=annotated.get(name),
            given=given.get(name),
            prepared=folder,
            fold=fold_of({"fold": folds.get(name)}),
        )
        for name in names
    ]
    unready = [name for name in names if not (folder / "cases" / f"{name}.json").is_file()]
    told = [f"{folder}: case {name} is not prepared yet; run prepare again, it continues" for name in unready]
    return Found(cases=tuple(cases), faults=(*faults, *told))
